#!/bin/sh
# Makes a small Debian 12 with everything the package depends on, and prints where it is. It is kept outside the
# repository for the next time; its name changes with what is in it. Needs root, mmdebstrap and a mirror of Debian.
set -eu
here=$(dirname "$0")
suite=bookworm
wanted=$(sed -n 's/^Depends: //p' "$here/../../systemd/deb/control.in" | sed 's/ *([^)]*)//g; s/, */,/g')
wanted="$wanted,systemd-sysv,dbus,udev"
keep=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/instrument-agent
tree=$keep/$suite-$(sha256sum "$0" "$here/../../systemd/deb/control.in" | cut -c -64 | sha256sum | cut -c -12)

if [ ! -d "$tree" ]; then
    rm -rf "$keep"
    mkdir -p "$keep"
    # The mirror this machine uses for its own packages.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" 'Origin: Debian' |
        head -n 1)
    # No sources of packages are left in it: what is installed there later is installed without a network.
    mmdebstrap --variant=minbase --include="$wanted" --aptopt='Acquire::Languages "none"' \
        --dpkgopt=force-unsafe-io --customize-hook='rm -rf "$1"/etc/apt/sources.list*' \
        "$suite" "$tree.unfinished" $mirror >&2
    mv "$tree.unfinished" "$tree"
fi
echo "$tree"
