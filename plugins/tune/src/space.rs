//! The search space of a parameter.
//!
//! `lr=0.001:0.1:log` is a range on a logarithmic scale, `layers=1:8` a range of integers,
//! `dropout=0:0.5:0.1` a range with a step, and `opt=adam,sgd` a choice.

use std::fmt;

use kf_plugin_sdk::{Error, Result};

/// A parameter and its search space.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) space: Space,
}

/// The possible values of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Space {
    /// Integers from `min` to `max`, both included.
    Integers {
        min: i64,
        max: i64,
        step: Step<i64>,
    },
    /// Numbers from `min` to `max`.
    Numbers {
        min: f64,
        max: f64,
        step: Step<f64>,
    },
    Choices(Vec<String>),
}

/// The step of a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step<T> {
    Any,
    By(T),
    /// Every order of magnitude is equally likely.
    Log,
}

/// The limit of values of a parameter in a grid.
const MAX_VALUES: usize = 10_000;

impl Parameter {
    pub(crate) fn parse(pair: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::invalid(format!("--param {pair}: {why}"))
                .hint("use a range or choices: --param lr=0.001:0.1:log, --param opt=adam,sgd")
        };
        let (name, spec) = pair.split_once('=').ok_or_else(|| wrong("expected NAME=VALUES"))?;
        let inner = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        if !name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
            || !name.chars().all(inner)
        {
            return Err(wrong(
                "a name contains letters, digits, `_`, `-` and `.`, and starts with a letter or `_`",
            ));
        }
        let space = Space::parse(spec).map_err(|why| wrong(&why))?;
        Ok(Self { name: name.to_owned(), space })
    }
}

impl Space {
    fn parse(spec: &str) -> std::result::Result<Self, String> {
        let parts: Vec<&str> = spec.split(':').collect();
        let (min, max, step) = match parts.as_slice() {
            [min, max] => (min, max, None),
            [min, max, step] => (min, max, Some(*step)),
            _ => return Self::choices(spec),
        };
        if let (Ok(min), Ok(max)) = (min.parse::<i64>(), max.parse::<i64>())
            && let Ok(step) = parse_step(step)
        {
            return Self::integers(min, max, step);
        }
        match (min.parse::<f64>(), max.parse::<f64>()) {
            (Ok(min), Ok(max)) => Self::numbers(min, max, parse_step(step)?),
            _ => Self::choices(spec),
        }
    }

    fn integers(min: i64, max: i64, step: Step<i64>) -> std::result::Result<Self, String> {
        check_range(min as f64, max as f64, matches!(step, Step::Log))?;
        match step {
            Step::By(step) if step < 1 => Err("the step must be greater than 0".to_owned()),
            step => Ok(Self::Integers { min, max, step }),
        }
    }

    fn numbers(min: f64, max: f64, step: Step<f64>) -> std::result::Result<Self, String> {
        check_range(min, max, matches!(step, Step::Log))?;
        match step {
            Step::By(step) if !(step.is_finite() && step > 0.0) => {
                Err("the step must be greater than 0".to_owned())
            }
            step => Ok(Self::Numbers { min, max, step }),
        }
    }

    fn choices(spec: &str) -> std::result::Result<Self, String> {
        let choices: Vec<String> = spec.split(',').map(str::to_owned).collect();
        if choices.iter().any(String::is_empty) {
            return Err("empty choice".to_owned());
        }
        let mut seen = std::collections::BTreeSet::new();
        match choices.iter().find(|choice| !seen.insert(choice.as_str())) {
            Some(duplicate) => Err(format!("duplicate choice `{duplicate}`")),
            None => Ok(Self::Choices(choices)),
        }
    }

    /// All values, for a grid.
    pub(crate) fn values(&self) -> std::result::Result<Vec<String>, String> {
        let values: Vec<String> = match self {
            Self::Choices(choices) => choices.clone(),
            Self::Integers { min, max, step } => {
                let step = match step {
                    Step::Any => 1,
                    Step::By(step) => usize::try_from(*step).unwrap_or(usize::MAX),
                    Step::Log => return Err(NO_GRID.to_owned()),
                };
                (*min..=*max).step_by(step).take(MAX_VALUES + 1).map(|value| value.to_string()).collect()
            }
            Self::Numbers { min, max, step: Step::By(step) } => {
                // Counted rather than added up: 0.1 + 0.1 + 0.1 is not 0.3.
                let count = ((max - min) / step + 1e-9).floor();
                if count >= MAX_VALUES as f64 {
                    return Err(TOO_MANY.to_owned());
                }
                (0..=count as u32).map(|number| decimal(min + step * f64::from(number))).collect()
            }
            Self::Numbers { .. } => return Err(NO_GRID.to_owned()),
        };
        if values.len() > MAX_VALUES { Err(TOO_MANY.to_owned()) } else { Ok(values) }
    }

    /// The value at a point between 0 and 1.
    pub(crate) fn at(&self, point: f64) -> String {
        match self {
            Self::Choices(choices) => {
                let index = (point * choices.len() as f64) as usize;
                choices.get(index).or(choices.last()).cloned().unwrap_or_default()
            }
            Self::Integers { min, max, step } => {
                let (low, high) = (*min as f64, *max as f64);
                let value = match step {
                    Step::Any => min.saturating_add((point * (high - low + 1.0)) as i64),
                    Step::By(step) => {
                        let steps = max.saturating_sub(*min) / step;
                        min.saturating_add(step.saturating_mul((point * (steps as f64 + 1.0)) as i64))
                    }
                    Step::Log => between_logs(point, low, high + 1.0).floor() as i64,
                };
                value.clamp(*min, *max).to_string()
            }
            Self::Numbers { min, max, step } => {
                let value = match step {
                    Step::Any => min + point * (max - min),
                    Step::By(step) => {
                        let steps = ((max - min) / step + 1e-9).floor();
                        min + step * (point * (steps + 1.0)).floor().min(steps)
                    }
                    Step::Log => between_logs(point, *min, *max),
                };
                decimal(value.clamp(*min, *max))
            }
        }
    }
}

const NO_GRID: &str = "a grid needs discrete values: choices, integers or a range with a step";
const TOO_MANY: &str = "a grid allows at most 10000 values";

fn between_logs(point: f64, low: f64, high: f64) -> f64 {
    (low.ln() + point * (high.ln() - low.ln())).exp()
}

/// A number with six digits, which are the same on every machine.
fn decimal(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    if rounded == 0.0 { "0".to_owned() } else { rounded.to_string() }
}

fn check_range(min: f64, max: f64, log: bool) -> std::result::Result<(), String> {
    if !min.is_finite() || !max.is_finite() {
        return Err("a range needs two finite numbers".to_owned());
    }
    if min >= max {
        return Err(format!("{min} is not less than {max}"));
    }
    if log && min <= 0.0 {
        return Err("a logarithmic range must start above 0".to_owned());
    }
    Ok(())
}

fn parse_step<T: std::str::FromStr>(step: Option<&str>) -> std::result::Result<Step<T>, String> {
    match step {
        None => Ok(Step::Any),
        Some("log") => Ok(Step::Log),
        Some(step) => step
            .parse()
            .map(Step::By)
            .map_err(|_| format!("invalid step `{step}`: expected a number or `log`")),
    }
}

impl<T: fmt::Display> fmt::Display for Step<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::By(step) => write!(formatter, ":{step}"),
            Self::Log => formatter.write_str(":log"),
        }
    }
}

/// As on the command line.
impl fmt::Display for Space {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integers { min, max, step } => write!(formatter, "{min}:{max}{step}"),
            Self::Numbers { min, max, step } => write!(formatter, "{min}:{max}{step}"),
            Self::Choices(choices) => formatter.write_str(&choices.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(spec: &str) -> Space {
        Parameter::parse(&format!("x={spec}")).unwrap().space
    }

    #[test]
    fn ranges_and_choices_are_distinguished() {
        assert_eq!(space("1:8"), Space::Integers { min: 1, max: 8, step: Step::Any });
        assert_eq!(space("1:8:2"), Space::Integers { min: 1, max: 8, step: Step::By(2) });
        assert_eq!(space("1e-4:0.1:log"), Space::Numbers { min: 1e-4, max: 0.1, step: Step::Log });
        assert_eq!(space("0:1:0.25"), Space::Numbers { min: 0.0, max: 1.0, step: Step::By(0.25) });
        assert_eq!(space("adam,sgd"), Space::Choices(vec!["adam".into(), "sgd".into()]));
        assert_eq!(space("s3://a:1,b"), Space::Choices(vec!["s3://a:1".into(), "b".into()]));
        for text in ["1:8", "1:8:2", "16:1024:log", "0.0001:0.1:log", "adam,sgd"] {
            assert_eq!(space(text).to_string(), text);
        }
    }

    #[test]
    fn invalid_spaces_are_refused() {
        for pair in [
            "x",
            "=1:2",
            "1x=1:2",
            "x y=1",
            "x=",
            "x=a,,b",
            "x=a,a",
            "x=2:1",
            "x=1:1",
            "x=0:1:log",
            "x=0:1:0",
            "x=1:8:-1",
            "x=0:1:fast",
            "x=nan:1.5",
            "x=0.5:inf",
        ] {
            let error = Parameter::parse(pair).unwrap_err();
            assert!(error.message.starts_with(&format!("--param {pair}: ")), "{}", error.message);
        }
    }

    #[test]
    fn grid_has_every_value_once() {
        assert_eq!(space("1:3").values().unwrap(), ["1", "2", "3"]);
        assert_eq!(space("1:8:3").values().unwrap(), ["1", "4", "7"]);
        assert_eq!(space("0.1:0.3:0.1").values().unwrap(), ["0.1", "0.2", "0.3"]);
        assert!(space("0.1:0.3").values().is_err());
        assert!(space("1:8:log").values().is_err());
        assert!(space("1:1000000000").values().is_err());
        assert!(space("0:1:0.0000001").values().is_err());
    }

    #[test]
    fn values_are_within_range() {
        for spec in ["1:8", "1:8:3", "16:1024:log", "0.001:0.1:log", "0:1", "0.1:0.35:0.1", "a,b,c"] {
            let space = space(spec);
            for point in [0.0, 0.25, 0.5, 0.999_999_999] {
                let value = space.at(point);
                match &space {
                    Space::Choices(choices) => assert!(choices.contains(&value)),
                    Space::Integers { min, max, .. } => {
                        let value: i64 = value.parse().unwrap();
                        assert!((*min..=*max).contains(&value), "{spec} {value}");
                    }
                    Space::Numbers { min, max, .. } => {
                        let value: f64 = value.parse().unwrap();
                        assert!((*min..=*max).contains(&value), "{spec} {value}");
                    }
                }
            }
        }
        assert_eq!(space("0.001:0.1:log").at(0.5), "0.01");
        assert_eq!(space("0.1:0.35:0.1").at(0.99), "0.3");
    }
}
