package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// newConfigCommand lists the configuration: what each option is set to and where that came from.
func newConfigCommand() *cobra.Command {
	var (
		path, format string
		markdown     bool
	)
	command := &cobra.Command{
		Use:   "config",
		Short: "List every option with its value, default and source",
		Long: "List every option with its value, default and source; secrets are masked. Exits with 1 and the reasons " +
			"when a server could not start with this configuration.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if markdown {
				_, err := io.WriteString(command.OutOrStdout(), config.Reference())
				return err
			}
			return listConfig(command.OutOrStdout(), command.ErrOrStderr(), config.Inspect(path, os.Environ()), format)
		},
	}
	command.Flags().StringVar(&path, "config", "", "file to read (default: $"+config.ConfigVariable+", or else "+config.DefaultFile+" if there is one)")
	command.Flags().StringVar(&format, "format", "table", "table or json")
	command.Flags().BoolVar(&markdown, "markdown", false, "print the reference of all options in Markdown and nothing else")
	return command
}

// listConfig writes the options to out, and warnings and problems to errs or, as JSON, to out too.
func listConfig(out, errs io.Writer, found config.Inspection, format string) error {
	var err error
	switch format {
	case "table":
		err = configTable(out, found.Values)
		for _, warning := range found.Warnings {
			fmt.Fprintf(errs, "warning: %s\n", warning)
		}
		for _, problem := range found.Problems {
			fmt.Fprintf(errs, "error: %s\n", problem.Error())
		}
	case "json":
		err = configJSON(out, found)
	default:
		return fmt.Errorf("--format must be table or json")
	}
	if err == nil && len(found.Problems) > 0 {
		return exitError(1)
	}
	return err
}

func configTable(out io.Writer, values []config.Value) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tVALUE\tDEFAULT\tSOURCE")
	for _, v := range values {
		text := v.Text
		switch {
		case v.Invalid:
			text = "(invalid)"
		case text == "":
			text = "-"
		}
		byDefault := v.Default
		if byDefault == "" {
			byDefault = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", v.Key, text, byDefault, v.Source)
	}
	return table.Flush()
}

// configJSON writes one object: options, warnings and problems. A value that is unset or invalid is null.
func configJSON(out io.Writer, found config.Inspection) error {
	type option struct {
		Key      string  `json:"key"`
		Variable string  `json:"variable"`
		Value    *string `json:"value"`
		Default  *string `json:"default"`
		Source   string  `json:"source"`
		Invalid  bool    `json:"invalid,omitempty"`
		Pending  bool    `json:"pending,omitempty"`
	}
	list := struct {
		Options  []option         `json:"options"`
		Warnings []string         `json:"warnings"`
		Problems []config.Problem `json:"problems"`
	}{Warnings: append([]string{}, found.Warnings...), Problems: append([]config.Problem{}, found.Problems...)}
	orNull := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	for _, v := range found.Values {
		list.Options = append(list.Options, option{
			Key: v.Key, Variable: v.Variable, Value: orNull(v.Text), Default: orNull(v.Default),
			Source: v.Source, Invalid: v.Invalid, Pending: v.Pending,
		})
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(list)
}
