# shellcheck shell=bash
# What the scripts of the virtual board share: the lock, the cache and Debian's packages by name. Sourced, never run.
# docs/virtual-board.md tells the whole story.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

suite=bookworm   # the board's Debian, whatever the host runs
keyring=${DEBIAN_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg} # DEBIAN_KEYRING: of a mirror with its own key
lock=$root/scripts/board.lock
nearest=$cache/board.nearest # stands in for the lock where Debian no longer has what is locked

# lock_file prints the list of packages in force.
lock_file() {
	if [[ -f $nearest && $(head -n1 "$nearest") == "# in place of $(sha256sum <"$lock")" ]]; then
		echo "$nearest"
	else
		echo "$lock"
	fi
}

# locked ROLE ARCH sets package, arch, version and sum: the one that plays this role on the board of Debian's
# architecture ARCH.
locked() {
	read -r package arch version sum < <(awk -v r="$1" -v a="$2" '$1 == r && ($3 ~ /^(all|source)$/ || $3 == a) {
		print $2, $3, $4, $5 }' "$(lock_file)") || die "$(lock_file) names no $1 for $2"
	export package arch version sum
}

# deb ROLE ARCH prints the file of a locked package, which board-fetch has brought; a source package is a folder.
deb() {
	local package arch version sum name
	locked "$1" "$2"
	name=$cache/debs/${package}_${version//:/%3a}_$arch
	[[ $arch == source ]] || name+=.deb
	echo "$name"
}

# made_of ARCH PART prints what a part of the board is made of, ROLE:ARCH as board-fetch takes it.
made_of() {
	local role roles=() host
	target "$(host_arch)"
	host=$debian
	target "$1"
	case $2 in
	kernel) roles=(kernel busybox) ;;
	modules) roles=(kernel headers headers-common source v4l2loopback "kbuild:$host") ;;
	wifi) roles=(wpa regdb ssl-dev nl-3-dev nl-genl-3-dev) ;;
	rpi) roles=(uboot-rpi) ;;
	firmware) roles=(firmware-boot firmware-wifi) ;;
	air | systemd) mapfile -t roles < <(awk -v p="$2/" -v a="$debian" '
		index($1, p) == 1 && ($3 == a || $3 == "all") {print $1}' "$(lock_file)") ;;
	*) roles=("$2") ;;
	esac
	for role in "${roles[@]}"; do
		[[ $role == *:* ]] || role+=:$debian
		say "$role"
	done
}

# fetch ARCH PART... brings what these parts are made of, at one go and before anything is made of it.
fetch() {
	local arch=$1 part items
	shift
	mapfile -t items < <(for part in "$@"; do made_of "$arch" "$part"; done | sort -u)
	scripts/board-fetch "${items[@]}" >&2
}

# kernel_release ARCH prints what uname -r says on the board: 6.1.0-50-arm64.
kernel_release() {
	local package arch version sum
	locked kernel "$1"
	echo "${package#linux-image-}"
}

# find_mirror sets mirror, where Debian's packages come from: DEBIAN_MIRROR, else the host's own mirror, else Debian's.
find_mirror() {
	mirror=${DEBIAN_MIRROR:-}
	[[ -n $mirror ]] || mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Component: main' \
		2>/dev/null | grep -m1 -E '/debian/?$' || true)
	: "${mirror:=http://ftp.debian.org/debian}"
}

# private_apt makes apt work on the board's Debian with a state of its own under the cache: no root, no foreign
# architecture for the host, nothing of the host's apt is touched. Signatures are checked against Debian's keyring.
private_apt() {
	local state=$cache/apt
	find_mirror # before apt is told of another state than the host's
	[[ -f $keyring ]] || die "Debian's signing keys are missing: scripts/setup image (package debian-archive-keyring)"
	mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/parts"
	: >"$state/status"
	printf '%s [signed-by=%s] %s %s main non-free-firmware\n' deb "$keyring" "$mirror" "$suite" \
		deb-src "$keyring" "$mirror" "$suite" >"$state/sources.list"
	cat >"$state/apt.conf" <<-CONF
		APT::Architectures { "amd64"; "arm64"; "armhf"; };
		APT::Sandbox::User "";
		Acquire::Languages "none";
		Acquire::Retries "3";
		Acquire::http::Timeout "30";
		Dir::State "$state";
		Dir::State::lists "$state/lists";
		Dir::State::status "$state/status";
		Dir::Cache "$state";
		Dir::Etc::sourcelist "$state/sources.list";
		Dir::Etc::sourceparts "$state/parts";
		Dir::Etc::preferences "$state/none";
		Dir::Etc::preferencesparts "$state/parts";
	CONF
	export APT_CONFIG=$state/apt.conf
}

# package_lists brings Debian's signed package lists up to date.
package_lists() {
	local log=$cache/apt/update.log mirror
	private_apt
	apt-get -q -o APT::Update::Error-Mode=any update >"$log" 2>&1 && return
	tail -n 5 "$log" >&2
	die "Debian's package lists do not come in from $mirror: is the network there? DEBIAN_MIRROR=URL names another mirror"
}

# alone keeps two runs from working on the same cache at the same time, and clears away what a killed one left.
alone() {
	[[ -z ${BOARD_ALONE:-} ]] || return 0
	export BOARD_ALONE=1
	mkdir -p "$cache"
	exec 9>"$cache/board.busy"
	flock -n 9 || {
		say "waiting for another run that uses $cache"
		flock 9
	}
	rm -rf "$cache"/board/.*.?????? "$cache"/.lock.??????
}

# machine ARCH sets emulator to the command that is the board: processor and memory, nothing else in it. Without ACPI the
# arm64 machine has a GPIO controller, as the armv7 one always has.
machine() {
	case $1 in
	arm64) emulator=(qemu-system-aarch64 -M "virt,acpi=off" -cpu cortex-a53 -smp 2) ;;
	armv7) emulator=(qemu-system-arm -M virt -cpu cortex-a15 -smp 1) ;;
	*) die "the virtual board is arm64 or armv7, not $1" ;;
	esac
	emulator+=(-m 512 -nodefaults -display none)
}

# image_up_to_date IMAGE: nothing that goes into the image in this folder is newer than it, and the kernel speaks on its
# serial port, as whoever boots it in an emulator wants.
image_up_to_date() {
	local files
	[[ -f $1/disk.img ]] && grep -q "^serial port: the kernel's" "$1/image.txt" || return
	mapfile -t files < <(git ls-files -co --exclude-standard -- '*.go' '*.c' '*.h' go.mod scripts board/boot \
		':!lab/*' ':!*_test.go')
	[[ -z $(find "${files[@]}" -newer "$1/disk.img" -print -quit 2>/dev/null) ]]
}

# emulator ARCH sets emulator to the machine that is given kernel and initrd by hand and is used once.
emulator() {
	machine "$1"
	# Without a firmware QEMU puts armv7's PCI where a kernel without LPAE does not reach it.
	[[ $1 != armv7 ]] || emulator[2]=virt,highmem=off
	emulator+=(-no-reboot -monitor none -append "console=ttyAMA0 panic=1 quiet")
}
