package nearest

import "testing"

// TestWord: a wrong suggestion is worse than none.
func TestWord(t *testing.T) {
	words := []string{"isolation", "log_file", "log_level", "vm_memory_mb"}
	for s, want := range map[string]string{
		"isolatoin": "isolation", "Isolation": "isolation", "isolations": "isolation", "log_fiel": "log_file",
		"vm_memory": "vm_memory_mb", "log": "", "xyz": "", "": "", "isolation": "isolation",
	} {
		if got := Word(s, words); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	if got := Word("x", nil); got != "" {
		t.Errorf("of no words: %q", got)
	}
	if got := Word("ab", []string{"ac", "ad"}); got != "" {
		t.Errorf("half of it changed: %q", got)
	}
	if got := Word("abcd", []string{"abce", "abcf"}); got != "abce" {
		t.Errorf("of equally near words: %q, want the first", got)
	}
}

// FuzzWord: a word that is there is always found, and nothing panics.
func FuzzWord(f *testing.F) {
	f.Add("isolation", "isolatoin")
	f.Fuzz(func(t *testing.T, a, b string) {
		if got := Word(a, []string{b, a}); distance(a, got, 1) != 0 {
			t.Errorf("%q among %q and itself: %q", a, b, got)
		}
		if d, e := distance(a, b, len(a)+len(b)+1), distance(b, a, len(a)+len(b)+1); d != e {
			t.Errorf("%q and %q: %d one way, %d the other", a, b, d, e)
		}
	})
}
