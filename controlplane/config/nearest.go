package config

import "strings"

// nearest is the candidate that name is most probably meant to be: the one with the fewest edits, if they are few
// for its length, or else the only one that ends in the same word. Empty when there is none.
func nearest(name string, candidates []string) string {
	const longest = 80 // no option is nearly as long
	if len(name) > longest {
		return ""
	}
	best, fewest := "", 0
	for _, candidate := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(candidate)); best == "" || d < fewest {
			best, fewest = candidate, d
		}
	}
	if best != "" && fewest <= max(2, len(best)/4) && fewest < len(name) {
		return best
	}
	found := ""
	for _, candidate := range candidates {
		if lastWord(candidate) == lastWord(name) {
			if found != "" {
				return ""
			}
			found = candidate
		}
	}
	return found
}

// lastWord is what follows the last dot.
func lastWord(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// distance is the least number of insertions, deletions and replacements that turn a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
