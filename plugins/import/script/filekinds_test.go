package script

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

// look is what the two looks at a whole image say of it.
func look(data []byte, want formatRequest) (detected, error) {
	found, err := detect(data[:min(len(data), headSize)], want)
	if err == nil && found.format == formatRaw && found.recognized == "" {
		return detectTail(data[max(0, len(data)-tailSize):], want)
	}
	return found, err
}

// What can be told from a disk is refused under either name, and taken for raw only
// by who insists. A disk is a disk.
func TestKinds(t *testing.T) {
	tested := map[string]bool{formatQCOW2: true}
	for _, s := range samples(t) {
		tested[s.want] = true
		for _, format := range []string{formatAuto, formatRaw} {
			found, err := look(s.data, formatRequest{format: format})
			switch {
			case s.want == "" && (err != nil || found.format != formatRaw || found.recognized != ""):
				t.Errorf("%s as %s: %+v, %v", s.name, format, found, err)
			case s.want != "" && (err == nil || !strings.Contains(err.Error(), "the bytes are "+s.want+" (") || !strings.Contains(err.Error(), "allow_any")):
				t.Errorf("%s as %s: %+v, %v, want %s", s.name, format, found, err, s.want)
			}
		}
		if found, err := look(s.data, formatRequest{formatRaw, true}); err != nil || found.format != formatRaw || found.recognized != s.want {
			t.Errorf("%s by allow_any: %+v, %v", s.name, found, err)
		}
		if _, err := look(s.data, formatRequest{format: formatQCOW2}); err == nil {
			t.Errorf("%s is qcow2", s.name)
		}
	}
	for _, k := range append(headKinds(), tailKinds()...) {
		if !tested[k.name] {
			t.Errorf("no sample of %s", k.name)
		}
	}
}

// What the tools make that people use: each is asked for one, if it is there.
func TestKindsMadeByTheirTools(t *testing.T) {
	dir := t.TempDir()
	content := make([]byte, 100000)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(content[:50000])
	if err := os.WriteFile(filepath.Join(dir, "disk"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ tool, command, want string }{
		{"gzip", "gzip -c disk", "gzip"},
		{"bzip2", "bzip2 -c disk", "bzip2"},
		{"bzip2", "bzip2 -c /dev/null", "bzip2"},
		{"xz", "xz -c disk", "xz"},
		{"xz", "xz -c --format=lzma disk", "lzma"},
		{"xz", "xz -c --format=lzma -9 < disk", "lzma"},
		{"xz", "xz -c --format=lzma -0 disk", "lzma"},
		{"xz", "xz -c --format=lzma --lzma1=dict=12MiB,lc=4,pb=0 disk", "lzma"},
		{"zstd", "zstd -qc disk", "zstd"},
		{"zstd", "zstd -qc --format=lz4 disk", "lz4"},
		{"lz4", "lz4 -qc disk", "lz4"},
		{"lz4", "lz4 -qcl disk", "lz4"},
		{"lzip", "lzip -c disk", "lzip"},
		{"lzop", "lzop -c disk", "lzop"},
		{"compress", "compress -c -f disk", "compress"},
		{"compress", "compress -c -f -b 9 disk", "compress"},
		{"7z", "7z a -bd x.7z disk >/dev/null && cat x.7z", "7z"},
		{"zip", "zip -q - disk", "zip"},
		{"tar", "tar -c disk", "tar"},
		{"tar", "tar -c --format=v7 disk", "tar"},
		{"cpio", "echo disk | cpio -o --quiet", "cpio"},
		{"cpio", "echo disk | cpio -o --quiet -H newc", "cpio"},
		{"cpio", "echo disk | cpio -o --quiet -H odc", "cpio"},
		{"ar", "ar qc x.a disk && cat x.a", "ar"},
		{"cryptsetup", "truncate -s 20M l1 && echo pw | cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 l1 && cat l1", "luks"},
		{"cryptsetup", "truncate -s 20M l2 && echo pw | cryptsetup -q luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 l2 && cat l2", "luks"},
		{"openssl", "openssl enc -aes-256-cbc -pbkdf2 -k x -in disk", "openssl"},
		{"cat", "cat /bin/cat", "elf"},
		{"qemu-img", "qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentFlat v.vmdk 1M && cat v.vmdk", "vmdk"},
		{"qemu-img", "qemu-img create -q -f vpc -o subformat=fixed v.vhd 1M && cat v.vhd", "vhd"},
		{"mke2fs", "mke2fs -q -t ext4 e.img 4M && cat e.img", ""},
		{"mkfs.xfs", "mkfs.xfs -q -d file,name=x.img,size=300m >/dev/null && head -c 1M x.img", ""},
		{"mkfs.btrfs", "truncate -s 120M b.img && mkfs.btrfs -q b.img >/dev/null && head -c 1M b.img", ""},
		{"mkfs.vfat", "mkfs.vfat -C f.img 4096 >/dev/null && cat f.img", ""},
		{"mkswap", "truncate -s 1M s.img && mkswap -q s.img >/dev/null && cat s.img", ""},
		{"mksquashfs", "mksquashfs disk q.sq -quiet >/dev/null && cat q.sq", ""},
		{"genisoimage", "genisoimage -quiet -o x.iso disk && cat x.iso", ""},
		{"sfdisk", "truncate -s 4M m.img && echo , | sfdisk -q m.img && cat m.img", ""},
		{"sfdisk", "truncate -s 40M n.img && echo 'label: sun' | sfdisk -q n.img && cat n.img", ""},
		{"sgdisk", "truncate -s 4M g.img && sgdisk -n 1:0:0 g.img >/dev/null && cat g.img", ""},
	} {
		t.Run(c.command, func(t *testing.T) {
			if _, err := exec.LookPath(c.tool); err != nil {
				t.Skipf("%s is not installed", c.tool)
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", c.command)
			cmd.Dir = dir
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			data, err := cmd.Output()
			if err != nil {
				t.Skipf("%v: %s", err, stderr.String()) // such as a version without the option
			}
			_, err = look(data, formatRequest{format: formatAuto})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), "the bytes are "+c.want+" (")) {
				t.Errorf("%d bytes: %v, want %q", len(data), err, c.want)
			}
		})
	}
}

// What is taken for a raw disk is one to QEMU too, which probes what it is not told.
func TestRawIsRawToQEMU(t *testing.T) {
	dir := t.TempDir()
	for _, s := range samples(t) {
		if s.want != "" || s.name == "random" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "x"), s.data, 0o600); err != nil {
			t.Fatal(err)
		}
		var info struct {
			Format string `json:"format"`
		}
		if err := json.Unmarshal(qemuImg(t, dir, "info", "--output=json", "x"), &info); err != nil || info.Format != formatRaw {
			t.Errorf("%s is %s to QEMU (%v)", s.name, info.Format, err)
		}
	}
}

// Whatever the bytes: no look panics, none depends on what it was asked before, and
// what is let in has none of the marks.
func FuzzKinds(f *testing.F) {
	for _, s := range samples(f) {
		if s.name != "random" {
			f.Add(s.data[:min(len(s.data), 1024)])
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, want := range []formatRequest{{formatAuto, false}, {formatRaw, false}, {formatRaw, true}, {formatQCOW2, false}} {
			found, err := look(data, want)
			if err != nil {
				if want.allowAny {
					t.Fatalf("refused although anything is allowed: %v", err)
				}
				if o := sdk.OutcomeOf(t.Context(), sdk.Result{}, err); !o.Permanent {
					t.Fatalf("not permanent: %v", err)
				}
				continue
			}
			if want.format == formatAuto && found.format == formatRaw && probedAsVMDK(data) {
				t.Fatalf("QEMU takes %q for a VMDK", data[:min(len(data), 64)])
			}
		}
	})
}

// probedAsVMDK is the rule that QEMU has for descriptors, in the simplest words.
func probedAsVMDK(data []byte) bool {
	for {
		line, rest, more := bytes.Cut(data, []byte("\n"))
		comment := bytes.HasPrefix(line, []byte("#"))
		blank := len(bytes.Trim(bytes.TrimSuffix(line, []byte("\r")), " ")) == 0
		if !comment && !blank {
			return more && strings.Contains("version=1 version=2 version=3", strings.TrimSuffix(string(line), "\r")) && len(line) > 8
		}
		if !more {
			return false
		}
		data = rest
	}
}
