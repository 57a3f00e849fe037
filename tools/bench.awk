# Prints the medians of what the benchmarks said, and the marks.

FILENAME != last { last = FILENAME; file++ }
file == 1 { name[++figures] = $2; text = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", text); what[$2] = text }
file == 2 && !/^#/ { mark[++marks] = $0 }
file == 3 && $2 ~ /^Benchmark/ {
	sub(/-[0-9]+$/, "", $2)
	rounds = $1
	for (i = 4; i < NF; i += 2) said[$2, $(i + 1), $1] = $i
}

# median is that of the n first values of v, which it sorts.
function median(n,   i, j, x) {
	for (i = 2; i <= n; i++) {
		x = v[i]
		for (j = i - 1; j > 0 && v[j] > x; j--) v[j + 1] = v[j]
		v[j + 1] = x
	}
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

function figure(name, unit,   r, n) {
	for (r = 1; r <= rounds; r++) if ((name, unit, r) in said) v[++n] = said[name, unit, r]
	return n ? median(n) : ""
}

# table prints the figures that have the first of three units, or needs if that is given.
function table(a, b, c, needs,   i) {
	printf "\n%-52s %12s %12s %12s\n", "", a, b, c
	for (i = 1; i <= figures; i++)
		if (figure(name[i], needs == "" ? a : needs) != "") printf "%-52s %12s %12s %12s\n", what[name[i]], figure(name[i], a), figure(name[i], b), figure(name[i], c)
}

# judge prints how a figure stands to its mark: to its base in each round, and the median of that.
function judge(m,   r, n, is, base, limit, verdict, list) {
	for (r = 1; r <= rounds; r++) {
		if (!((m[1], m[2], r) in said) || !((m[5], m[6], r) in said)) continue
		is = said[m[1], m[2], r]
		base = said[m[5], m[6], r]
		limit = m[4] * base + m[7]
		v[++n] = m[7] == "" ? is / base : is - limit
		list = list sprintf(" %.2f", v[n])
	}
	if (!n) return
	is = median(n)
	limit = m[7] == "" ? m[4] : 0
	verdict = (m[3] == "least" ? is >= limit : is <= limit) ? "reached" : "MISSED"
	base = m[7] == "" ? sprintf("%sat least %.2f of %s", m[2] == m[6] ? "" : m[2] " ", m[4], m[2] == m[6] ? substr(m[5], 10) : m[6]) : sprintf("%s over %g of %s + %g", m[2], m[4], substr(m[5], 10), m[7])
	printf "%-52s %-38s %6.2f  %-7s %s\n", what[m[1]], base, is, verdict, list
}

END {
	table("tasks/s", "cpu-us/task", "rss-MiB")
	table("tasks/s", "peer-tasks/s", "own-tasks/s", "peer-tasks/s")
	table("p50-ms", "p99-ms", "")
	printf "\n%-52s %-38s %6s  %-7s  %s\n", "", "mark", "is", "", "in each round"
	for (i = 1; i <= marks; i++) { split(mark[i], m, " "); judge(m) }
}
