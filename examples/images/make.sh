#!/bin/sh
# Makes the two images anew, in the current directory. Needs mke2fs (e2fsprogs)
# and qemu-img (qemu-utils).
set -eu
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

mkdir "$work/root"
echo "A small disk, to be imported." > "$work/root/README"
seq 1 4000 > "$work/root/numbers.txt"

# A raw image: an ext2 file system of 256 KiB with two files in it.
rm -f small.raw
mke2fs -q -t ext2 -b 1024 -N 16 -m 0 -L small-raw -d "$work/root" \
	-U 6f1c1a2e-0000-4000-8000-000000000001 \
	-E hash_seed=6f1c1a2e-0000-4000-8000-000000000002,root_owner=0:0 small.raw 256k

# A qcow2 image: a disk of 8 MiB with an ext4 file system, in small clusters so
# that the file is small.
mke2fs -q -t ext4 -b 1024 -m 0 -O ^has_journal -L small-qcow2 -d "$work/root" \
	-U 6f1c1a2e-0000-4000-8000-000000000003 \
	-E hash_seed=6f1c1a2e-0000-4000-8000-000000000002,root_owner=0:0 "$work/disk.raw" 8m
qemu-img convert -O qcow2 -o compat=1.1,cluster_size=4096 "$work/disk.raw" small.qcow2

sha256sum small.qcow2 small.raw > SHA256SUMS
