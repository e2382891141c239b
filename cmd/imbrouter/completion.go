package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes commands in a shell",
		Long: `Print a script that completes commands and flags in a shell. It holds for the
shell that reads it, in bash with

  source <(imbrouter completion bash)

and for all where they look for such scripts:

  bash        /usr/share/bash-completion/completions/imbrouter
  zsh         /usr/share/zsh/site-functions/_imbrouter
  fish        /usr/share/fish/vendor_completions.d/imbrouter.fish`,
		Example: `  imbrouter completion bash >imbrouter.bash
  imbrouter completion fish >imbrouter.fish`,
		Args:      withUsage(cobra.ExactArgs(1)),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			generate, ok := map[string]func(io.Writer) error{
				"bash":       func(out io.Writer) error { return root.GenBashCompletionV2(out, true) },
				"zsh":        root.GenZshCompletion,
				"fish":       func(out io.Writer) error { return root.GenFishCompletion(out, true) },
				"powershell": root.GenPowerShellCompletionWithDesc,
			}[args[0]]
			if !ok {
				return usage(cmd, fmt.Errorf("there is no shell %q; choose one of %s", args[0], strings.Join(shells, ", ")))
			}
			return generate(cmd.OutOrStdout())
		},
	}
}
