# shellcheck shell=bash
# What every script shares: where the project is, how a script speaks and how it stops. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=$root/.cache
cd "$root" || exit

# module_proxy_hint is the cure for the commonest failure of a first build.
module_proxy_hint="Go fetches modules through GOPROXY ($(go env GOPROXY 2>/dev/null || echo unset)); see 'go help goproxy'."

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
	warn "$@"
	exit 1
}

# step announces a part of a longer run with the seconds that have passed since the run began.
step() {
	: "${STARTED:=$(date +%s)}"
	export STARTED
	printf '\n== %s  [%d s]\n' "$*" "$(($(date +%s) - STARTED))"
}

# need_space DIR MEGABYTES WHAT: refuses before the long work starts rather than in the middle of it.
need_space() {
	local dir=$1 want=$2 what=$3 free
	while [[ ! -d $dir ]]; do dir=$(dirname "$dir"); done
	free=$(df -Pm "$dir" | awk 'NR==2 {print $4}')
	((free >= want)) || die "$what needs $want MB of disk space, but $dir has $free MB left: make room, then try again"
}

# need_modules downloads what go.mod names, so that a refusing registry is told before anything is compiled. Quiet and
# quick when the modules are there.
need_modules() {
	[[ -f $cache/modules.sum ]] && cmp -s "$cache/modules.sum" go.sum && return
	need_space "$(go env GOMODCACHE)" 300 "the Go modules"
	go mod download || die "the Go modules do not come in. $module_proxy_hint"
	mkdir -p "$cache"
	cp go.sum "$cache/modules.sum"
}

# agent_tags: build tags of the agent. net/http comes in with a module; without HTTP/2, which nobody speaks, it is smaller.
agent_tags=nethttpomithttp2
export agent_tags

# release names the source that is built, for 'agent version'.
release() { git describe --tags --always --dirty 2>/dev/null || echo unknown; }

# host_arch is this machine in the words of ARCH.
host_arch() {
	case $(uname -m) in
	x86_64) echo amd64 ;;
	aarch64) echo arm64 ;;
	armv7l) echo armv7 ;;
	*) uname -m ;;
	esac
}

# target ARCH sets goarch, goarm, debian (Debian's word for it), triplet (the compiler's), for armv7, arm64, amd64.
target() {
	goarch='' goarm='' debian='' triplet=''
	case $1 in
	armv7) goarch=arm goarm=7 debian=armhf triplet=arm-linux-gnueabihf ;;
	arm64) goarch=arm64 debian=arm64 triplet=aarch64-linux-gnu ;;
	amd64) goarch=amd64 debian=amd64 triplet=x86_64-linux-gnu ;;
	*) die "no such ARCH: $1 (armv7, arm64 and amd64 are known)" ;;
	esac
	export goarch goarm debian triplet
}

# runner ARCH prints the command that runs a binary of ARCH here: nothing when it is native.
runner() {
	[[ $1 == "$(host_arch)" ]] && return
	local name
	case $1 in
	armv7) name=arm ;;
	arm64) name=aarch64 ;;
	amd64) name=x86_64 ;;
	esac
	command -v "qemu-$name-static" || command -v "qemu-$name" || die "qemu-user is missing: scripts/setup cross"
}
