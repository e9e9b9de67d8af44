"""Networks: steps in, action logits and state outputs out. Shapes: B windows, T steps, W width, A actions."""
