package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/plugins/import/script"
	remotequeue "github.com/taskhost/taskhost/plugins/remote-queue"
)

func (p *program) configReferenceCmd() *cobra.Command {
	var markdown bool
	c := &cobra.Command{Use: "reference [KEY]", Short: "Explain the keys of a config: all, or those that are named so", Args: cobra.MaximumNArgs(1),
		Long: "Explain the keys of a config: all, or those that are named so. KEY is a key, a block or a plugin, alone or with\n" +
			"what it stands in: slots, executor.slots, executor.local.slots, task_type, remote-queue, scripts.http.timeout.",
		RunE: func(_ *cobra.Command, args []string) error {
			keys, err := p.reference()
			if err != nil {
				return err
			}
			if markdown {
				return writeMarkdown(p.out, keys)
			}
			if len(args) == 1 {
				found, near := config.FindKeys(keys, args[0])
				switch {
				case len(found) > 0:
					keys = found
				case near != "":
					return &exitError{code: exitNotFound, msg: fmt.Sprintf("no config has a key %q; did you mean %q?", args[0], near)}
				default:
					return &exitError{code: exitNotFound, msg: fmt.Sprintf("no config has a key %q: see taskhost config reference", args[0])}
				}
			}
			if p.format != formatTable {
				return printList(p, tableFormat[config.Key]{name: func(k config.Key) string { return k.Path }}, keys, map[string][]config.Key{"keys": keys})
			}
			return writeReference(p.out, keys)
		}}
	c.Flags().BoolVar(&markdown, "markdown", false, "as docs/config.md has it")
	_ = c.Flags().MarkHidden("markdown") // the flag is there
	return c
}

// reference is every key, with those of the built-ins and of the plugin that comes along.
func (p *program) reference() ([]config.Key, error) {
	var plugins []config.PluginSchema
	for _, b := range append(slices.Clone(p.builtins), host.BoardPlugin(version()), script.Plugin(version())) {
		plugins = append(plugins, config.PluginSchema{Plugin: b.Name, Schema: b.ConfigSchema})
	}
	return config.Reference(plugins, remotequeue.QueueSchema())
}

// referenceWidth is how wide a screen has to be.
const referenceWidth = 80

// writeReference writes keys for a terminal.
func writeReference(w io.Writer, keys []config.Key) error {
	var b strings.Builder
	for i, k := range keys {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(k.Path)
		switch {
		case k.Plugin != "":
			fmt.Fprintf(&b, "  (plugin %s)", k.Plugin)
		case len(k.Files) == 1:
			fmt.Fprintf(&b, "  (%s)", k.Files[0])
		}
		b.WriteByte('\n')
		lines := []string{k.About}
		if k.Value != "" {
			lines = append(lines, "Value: "+k.Value)
		}
		if k.Default != "" {
			lines = append(lines, "Without it: "+k.Default)
		}
		if k.Variable != "" {
			lines = append(lines, strings.TrimSuffix("Also: "+k.Variable+", "+k.Flag, ", "))
		}
		for _, line := range lines {
			for _, text := range wrap(line, referenceWidth-4) {
				fmt.Fprintf(&b, "    %s\n", text)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const markdownHead = `# The config

Every key of the file of a server (` + "`taskhost server --config FILE`" + `) and of a worker (` + "`taskhost worker --config FILE`" + `). ` + "`make generate`" + `
writes this page; ` + "`taskhost config reference [KEY]`" + ` prints it, or what is said of one key.

- The file is HCL. ` + "`config validate FILE`" + ` says all that is wrong with one at once, with lines and what was meant; ` + "`--worker`" + ` takes a
  worker's. It starts each plugin process once, to ask which config it takes, unless ` + "`--offline`" + `.
- A server's file yields to the environment, and that to flags. ` + "`config show`" + ` says where each value in force comes from.
- A relative path in the file is meant against the file's folder; one in the environment or a flag, against the working directory.
- Without a file a server runs on what stands under "without it", with one executor, ` + "`local`" + `, of the plugin ` + "`eventlet-style`" + `. A file
  with executor blocks has those alone.
`

// writeMarkdown writes all keys as a page.
func writeMarkdown(w io.Writer, keys []config.Key) error {
	var b strings.Builder
	b.WriteString(markdownHead)
	section := "none yet"
	for _, k := range keys {
		path, name := "", k.Path
		if i := strings.LastIndex(k.Path, "NAME."); i >= 0 {
			path, name = k.Path[:i+4], k.Path[i+5:]
		} else if block, rest, ok := strings.Cut(k.Path, "."); ok { // of a block without a name
			path, name = block, rest
		}
		if k.Plugin != "" {
			path, name = k.Plugin, strings.TrimPrefix(name, "config.")
		}
		if k.Block && k.Path != "executor.NAME.config" {
			path = k.Path
		}
		if path != section {
			section = path
			fmt.Fprintf(&b, "\n%s\n\n", heading(path, k))
			if k.Block {
				fmt.Fprintf(&b, "%s\n\n", k.About)
			}
			b.WriteString("| key | what it is for | value | without it |\n|---|---|---|---|\n")
		}
		if k.Block && path == k.Path {
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, cell(aboutCell(k)), cell(k.Value), code(k.Default))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func heading(path string, k config.Key) string {
	switch {
	case path == "":
		return "## At the top of a file"
	case k.Plugin != "":
		return fmt.Sprintf("### `config { … }` of plugin `%s`", path)
	case path == "queue":
		return "## `queue { … }`, of a worker"
	}
	if name, ok := strings.CutSuffix(path, ".NAME"); ok {
		return fmt.Sprintf("## `%s \"NAME\" { … }`", name)
	}
	return fmt.Sprintf("## `%s { … }`", path)
}

// aboutCell is what is said of a key, with where it may stand and what is laid over it.
func aboutCell(k config.Key) string {
	text := k.About
	if len(k.Files) == 1 && !strings.Contains(k.Path, ".") {
		text += fmt.Sprintf(" Of a %s alone.", k.Files[0])
	}
	if k.Variable != "" {
		over := "`" + k.Variable + "`"
		if k.Flag != "" {
			over += ", `" + k.Flag + "`"
		}
		text += " Over it: " + over + "."
	}
	return text
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + cell(s) + "`"
}
