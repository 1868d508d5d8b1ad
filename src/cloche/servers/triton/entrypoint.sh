#!/bin/sh
# Starts Triton on the models of this image. Options that are given to the container are passed on;
# another command is run in its place.
set -eu

case "${1:-}" in
-* | "") ;;
*) exec "$@" ;;
esac

fail() {
    echo "cloche: $*" >&2
    exit 1
}

models=${CLOCHE_MODELS:-/models}
[ -d "$models" ] || fail "the model repository $models is not in this container"
command -v tritonserver >/dev/null || fail "this image holds no tritonserver"

# Models in Python pass their tensors through shared memory. Where that is short they die in the
# middle of a request, so it is looked at before.
needed=${CLOCHE_SHARED_MEMORY:-0}
if [ "$needed" -gt 0 ]; then
    there=$(($(stat -f -c '%b*%S' /dev/shm 2>/dev/null || echo 0)))
    if [ "$there" -lt "$needed" ]; then
        mib=$(((needed + 1048575) / 1048576))
        fail "/dev/shm has $((there / 1048576)) MiB and the models need $mib MiB:" \
            "start the container with --shm-size=${mib}m, in Kubernetes with a volume" \
            "emptyDir {medium: Memory, sizeLimit: ${mib}Mi} at /dev/shm"
    fi
fi

# Triton's Python backend makes its environments there, and ends the server by SIGSEGV if it cannot.
if ! (: >"/tmp/.cloche-$$") 2>/dev/null; then
    advice="start the container with --tmpfs /tmp, in Kubernetes with a volume emptyDir at /tmp"
    [ "$needed" -eq 0 ] || fail "/tmp is read-only and the models are in Python: $advice"
    echo "cloche: /tmp is read-only, which ends a server whose models run in Python: $advice" >&2
fi
rm -f "/tmp/.cloche-$$"

# What the container may use is less than what the machine has: its control group bounds it, which
# the libraries of models do not look at.
limit() {
    if [ -r /sys/fs/cgroup/cpu.max ]; then
        read -r quota period </sys/fs/cgroup/cpu.max
    elif [ -r /sys/fs/cgroup/cpu/cpu.cfs_quota_us ]; then
        read -r quota </sys/fs/cgroup/cpu/cpu.cfs_quota_us
        read -r period </sys/fs/cgroup/cpu/cpu.cfs_period_us
    else
        quota=max
    fi
    case "$quota" in
    max | -1) echo "$1" ;;
    *) echo $(((quota + period - 1) / period)) ;;
    esac
}
cores=$(nproc)
limited=$(limit "$cores")
[ "$limited" -ge "$cores" ] || cores=$limited
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$cores}"
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-$cores}"
export MKL_NUM_THREADS="${MKL_NUM_THREADS:-$cores}"
http=$cores
[ "$http" -ge 4 ] || http=4
[ "$http" -le 8 ] || http=8

# Without a GPU Triton would warn that it cannot pin memory, and that it cannot measure one.
[ -e /dev/nvidiactl ] || set -- --pinned-memory-pool-byte-size=0 --allow-gpu-metrics=false "$@"

# The user of the image has no folder of its own.
[ -w "${HOME:-/}" ] || export HOME=/tmp

# What is served is nobody else's business: ONNX Runtime would send its maker names and hashes.
export @SILENCE@

# Nobody knows this word, so the APIs behind it are closed to all who reach a port.
word=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

# shellcheck disable=SC2086 # words of options are meant
exec tritonserver \
    "--model-repository=$models" \
    @OPTIONS@ ${CLOCHE_TRITON_OPTIONS:-} \
    "--http-thread-count=$http" \
    "--http-restricted-api=@CLOSED_APIS@:cloche-closed=$word" \
    "--grpc-restricted-protocol=@CLOSED_APIS@:cloche-closed=$word" \
    "$@"
