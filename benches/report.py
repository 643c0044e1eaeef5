"""Medians, ratios and tables."""

import statistics


def rows(samples, lines, servers):
    """One row per line, two where a sync may be counted.

    `samples[line.key][server.name]` is the list of samples, one per round.
    """
    made = []
    for line in lines:
        of_line = samples[line.key]
        made.append(row(line.key, line, "", of_line, servers, lambda _server: "rate"))
        if any("rate_synced" in sample for sample in next(iter(of_line.values()))):
            made.append(
                row(
                    line.key + "-synced",
                    line,
                    ", on disk",
                    of_line,
                    servers,
                    # What Coffer has answered is on the disk; the others still owe a sync.
                    lambda server: "rate" if server.durable else "rate_synced",
                )
            )
    return made


def row(key, line, suffix, of_line, servers, field):
    of_server = {}
    for server in servers:
        samples = of_line[server.name]
        rates = [sample[field(server)] for sample in samples]
        of_server[server.name] = {
            "median": statistics.median(rates),
            "min": min(rates),
            "max": max(rates),
            "rates": rates,
            "cpu_us": statistics.median(sample["cpu_us"] for sample in samples),
            "latency_ms": {
                name.removesuffix("_ms"): statistics.median(sample[name] for sample in samples)
                for name in ("p50_ms", "p90_ms", "p99_ms")
                if name in samples[0]
            },
        }
    made = {"key": key, "title": line.title + suffix, "unit": line.unit, "servers": of_server}
    peers = {name: found for name, found in of_server.items() if name != "coffer"}
    if "coffer" in of_server and peers:
        best = max(peers, key=lambda name: peers[name]["median"])
        ours = of_server["coffer"]
        by_round = [a / b for a, b in zip(ours["rates"], peers[best]["rates"], strict=True)]
        made["best_peer"] = best
        made["ratio"] = ours["median"] / peers[best]["median"]
        made["ratio_min"], made["ratio_max"] = min(by_round), max(by_round)
    return made


def table(row):
    """One line of the benchmark as text."""
    lines = [f"{row['title']} ({row['unit']})"]
    for name, found in row["servers"].items():
        text = f"  {name:<9}{found['median']:>12,.1f}"
        text += f"   {found['min']:,.1f} – {found['max']:,.1f}".ljust(28)
        text += f"cpu {found['cpu_us']:,.0f} µs".ljust(16)
        if found["latency_ms"]:
            text += "".join(f"  {p} {ms:.2f} ms" for p, ms in found["latency_ms"].items())
        lines.append(text.rstrip())
    if "ratio" in row:
        lines.append(
            f"  Coffer / {row['best_peer']}: {row['ratio']:.2f}"
            f"   (by round {row['ratio_min']:.2f} – {row['ratio_max']:.2f})"
        )
    return "\n".join(lines) + "\n"


def summary(rows):
    """The ratios alone."""
    lines = ["Coffer / best peer"]
    for row in rows:
        if "ratio" in row:
            lines.append(f"  {row['title']:<42}{row['ratio']:>6.2f}   {row['best_peer']}")
    return "\n".join(lines)
