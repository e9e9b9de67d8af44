"""What a figure says in two lines."""

from pathlib import Path

from radt.pipeline.summary import summary

RECORDED = Path(__file__).parents[1] / "results/recorded"


def test_a_summary_has_first_and_last_returns_the_paper_and_the_optimum():
    figure = RECORDED / "darkroom/figure.pdf"
    where, said = summary(figure)
    assert where == f"{figure}:"
    parts = said.removeprefix("  return of the first and the last episode, held-out tasks: ")
    assert parts.startswith("RA-DT 45.1 to 89.5 (paper 81.6), RA-DT LM ") and parts.endswith(", optimum 90.0")
    assert all(f", {name} " in parts for name in ("AD", "DPT", "DT")) and "Random" not in parts and "fixed" not in parts


def test_a_summary_without_paper_and_optimum():
    said = summary(RECORDED / "reacher_hidden/figure.pdf")[1]
    assert said.startswith("  return of the first and the last episode, held-out tasks: RA-DT 65.9 to 425.9,")
    assert "(" not in said and " to 425.9, AD " in said
