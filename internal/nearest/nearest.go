// Package nearest finds the known word that a misspelt one was meant to be, for
// errors that say "did you mean".
package nearest

// Word returns the one of words that takes the fewest edits to become s, or ""
// when even that one is too far to be what was meant: more than a third of s
// would have to change. Of equally near words it returns the first.
func Word(s string, words []string) string {
	best, bestDistance := "", len(s)/3+1
	for _, w := range words {
		if d := distance(s, w, bestDistance); d < bestDistance {
			best, bestDistance = w, d
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b, in bytes without regard to
// the case of ASCII letters; it may stop at limit.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if lower(a[i-1]) == lower(b[j-1]) {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
			least = min(least, row[j])
		}
		if least >= limit {
			return limit
		}
	}
	return row[len(b)]
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
