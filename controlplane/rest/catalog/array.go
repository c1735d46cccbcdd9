package catalog

// AppendArray appends a one-dimensional PostgreSQL array literal. Every element is quoted, so that
// none can be read as NULL, as a nested array or as two.
func AppendArray(dst []byte, elements []string) []byte {
	dst = append(dst, '{')
	for i, e := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		for j := 0; j < len(e); j++ {
			if e[j] == '"' || e[j] == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, e[j])
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}
