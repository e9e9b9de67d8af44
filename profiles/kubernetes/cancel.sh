#!/bin/sh
# Delete Jobs and their pods.
exec kubectl delete --ignore-not-found --wait=false "$@"
