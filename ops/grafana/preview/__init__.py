"""Pictures of the dashboards without Grafana: each panel's own queries on a real Prometheus, drawn as SVG in a page.

For reviews and for machines that have no Grafana. It shows what a panel would hold (series, legends, units,
thresholds), not Grafana's looks to the pixel.
"""
