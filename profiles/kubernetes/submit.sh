#!/bin/sh
# Hand a script to Kubernetes as a Job and print its name: submit.sh THREADS MEGABYTES MINUTES GPUS SCRIPT.
set -eu
sed -e '1d' -e "s|THREADS|$1|" -e "s|MEMORY|$2|" -e "s|SECONDS|$(($3 * 60))|" -e "s|GPUS|$4|" -e "s|SCRIPT|$5|" -e "s|FOLDER|$PWD|" \
    "$(dirname "$0")/job.yaml" | kubectl create --filename=- --output=name
