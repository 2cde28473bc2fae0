package compare

// pair is a place in each of two lists.
type pair struct{ a, b int }

// align finds the heaviest common subsequence of two lists by key: what it
// pairs came in the same order, the others are in only one list or in another
// order. Of two that cannot both be in order, the heavier one is.
func align[T any](a, b []T, key func(T) string, weight func(T) int) (pairs []pair, onlyA, onlyB []int) {
	// best[i][j] is the weight of what a[i:] and b[j:] have in common.
	best := make([][]int, len(a)+1)
	for i := range best {
		best[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			best[i][j] = max(best[i+1][j], best[i][j+1])
			if key(a[i]) == key(b[j]) {
				best[i][j] = max(best[i][j], best[i+1][j+1]+weight(a[i]))
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case key(a[i]) == key(b[j]) && best[i][j] == best[i+1][j+1]+weight(a[i]):
			pairs = append(pairs, pair{i, j})
			i++
			j++
		case best[i+1][j] >= best[i][j+1]:
			onlyA = append(onlyA, i)
			i++
		default:
			onlyB = append(onlyB, j)
			j++
		}
	}
	for ; i < len(a); i++ {
		onlyA = append(onlyA, i)
	}
	for ; j < len(b); j++ {
		onlyB = append(onlyB, j)
	}
	return pairs, onlyA, onlyB
}
