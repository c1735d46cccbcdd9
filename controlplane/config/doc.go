// Package config turns fluxbase.yaml and the environment into one checked [Config].
//
// Everything derives from one table, in options*.go: reading, names of environment variables, the check for
// unknown keys, the listing of fluxbase config and the reference in docs/configuration.md.
//
// Each option takes its value from the first of these that names it:
//
//  1. the environment: FLUXBASE_SECTION_KEY or, for a secret, FLUXBASE_SECTION_KEY_FILE with the path of a file
//     that holds it (both at once are an error);
//  2. the file: section, key or, for a secret, key_file (both at once are an error);
//  3. the default, which may differ in development mode.
//
// Promises:
//
//   - Fail closed. An unknown key, an unknown FLUXBASE_ variable, an empty or malformed value, an undefined ${VAR}
//     and a missing or guessable secret are errors. All are collected and reported together.
//   - An error names the key, its source and what is allowed; it never repeats a value, because any value may have
//     come from a secret by ${VAR}.
//   - ${VAR} is expanded in decoded scalars. What a variable holds can't add keys, lines or structure.
//   - [Secret] and [URL] hide what they hold from fmt, slog and encoding/json; only their Reveal methods show it.
//
// The package keeps no state and changes nothing; all of it may be used by several goroutines at once.
package config
