#!/bin/sh
# What has become of a job of Slurm: success, failed or running. For another scheduler: its command, and what that prints.
command -v squeue > /dev/null || { echo "error: $0 asks squeue, which is not here: let it ask your scheduler" >&2; exit 1; }
case $(squeue --noheader --states=all --format=%T --jobs="$1" 2>&1) in
    COMPLETED) echo success ;;
    BOOT_FAIL | CANCELLED | DEADLINE | FAILED | NODE_FAIL | OUT_OF_MEMORY | PREEMPTED | TIMEOUT | *"Invalid job id"*) echo failed ;;
    *) echo running ;; # or waits, or Slurm does not answer: a job that may run is not started twice
esac
