//! Gauges of objects that come and go, in Prometheus's format.

use std::collections::BTreeMap;

use super::prometheus;

/// Lines of each metric.
#[derive(Debug, Default)]
pub(super) struct Series(BTreeMap<&'static str, String>);

impl Series {
    pub(super) fn add(&mut self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let lines = self.0.entry(name).or_default();
        lines.extend([format!("{name}{{{}}} {value}\n", labels.join(","))]);
    }

    pub(super) fn render(&self) -> String {
        let families: Vec<String> = self
            .0
            .iter()
            .map(|(name, lines)| format!("# HELP {name} {}\n# TYPE {name} gauge\n{lines}\n", prometheus::help(name)))
            .collect();
        families.concat()
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::Series;

    #[test]
    fn values_of_labels_are_escaped() {
        let mut series = Series::default();
        series.add("lag", &[("integration", "a\\b\"c\nd"), ("endpoint", "users")], 1.5);
        series.add("lag", &[("integration", "b")], 0.0);
        let text = "# HELP lag \n# TYPE lag gauge\nlag{integration=\"a\\\\b\\\"c\\nd\",endpoint=\"users\"} 1.5\nlag{integration=\"b\"} 0\n\n";
        assert_eq!(series.render(), text);
    }
}
