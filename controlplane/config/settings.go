package config

import "strconv"

// Setting is one value that the configuration gives the database's table auth.settings, with source "config".
type Setting struct {
	Key    string // of auth.settings
	Value  string // text as auth.set_setting takes it; a duration is a number of seconds with its unit: "900 seconds"
	Source string // fluxbase.yaml:12 or the name of a variable
}

// DatabaseSettings lists the settings that the file or the environment names, and those that have no other source, in the
// order of the reference. The server applies them at start; all others are the database's own.
func (c *Config) DatabaseSettings() []Setting {
	keys, defaults := map[string]string{}, map[string]bool{}
	for _, o := range options() {
		if o.setting != "" {
			keys[o.Key], defaults[o.Key] = o.setting, o.always
		}
	}
	var settings []Setting
	for _, v := range c.values {
		key, ours := keys[v.Key]
		if !ours || !v.Explicit() && (!defaults[v.Key] || v.Text == "") {
			continue
		}
		text := v.Text
		if v.Key == "auth.access_token_lifetime" {
			text = strconv.FormatFloat(c.Auth.AccessTokenLifetime.Seconds(), 'f', -1, 64) + " seconds"
		}
		settings = append(settings, Setting{Key: key, Value: text, Source: v.Source})
	}
	return settings
}
