package password_test

import (
	"testing"
	"testing/fstest"

	"github.com/wayli-app/fluxbase/controlplane/password"
)

func TestBreached(t *testing.T) {
	t.Parallel()
	// SHA-1 of "password" is 5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8, of "hunter2" F3BBBD66A63D4BF1747940578EC3D0103530E21D.
	list, err := password.NewBreached(fstest.MapFS{
		"5BAA6.txt": {Data: []byte("0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n1E4C9B93F3F0682250B6CF8331B7EE68FD8:9545824\r\n")},
		"F3BBB.txt": {Data: []byte("D66A63D4BF1747940578EC3D0103530E21D:0\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]bool{"password": true, "Password": false, "hunter2": false, "another": false, "": false} {
		if got, err := list.Contains(word); got != want || err != nil {
			t.Errorf("%q: %t %v", word, got, err)
		}
	}
	for _, files := range []fstest.MapFS{{}, {"list.txt": {}}, {"5baa6.txt": {}}} {
		if _, err := password.NewBreached(files); err == nil {
			t.Errorf("accepted: %v", files)
		}
	}
}
