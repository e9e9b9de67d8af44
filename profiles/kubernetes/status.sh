#!/bin/sh
# What has become of a Job: success, failed or running.
command -v kubectl > /dev/null || { echo "error: kubectl is not here: install it" >&2; exit 1; }
case $(kubectl get "$1" --output="jsonpath={.status.conditions[?(@.status=='True')].type}" 2>&1) in
    *NotFound* | *Failed*) echo failed ;;
    *Complete*) echo success ;;
    *) echo running ;; # or waits, or the cluster does not answer: a job that may run is not started twice
esac
