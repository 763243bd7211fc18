//! Label and field selectors, parsed and formatted again.
//!
//! A selector goes into the query of a URL. Parsing it first means that a malformed one fails
//! before a call is made, and that only its meaning is sent, not its text.

use std::fmt;

use crate::names::NameError;

const MAX_SELECTOR_BYTES: usize = 4096;

/// Conditions on labels; all must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSelector(Vec<LabelCondition>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct LabelCondition {
    key: String,
    test: LabelTest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LabelTest {
    Exists,
    Absent,
    Equals(String),
    Differs(String),
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl LabelSelector {
    /// Parses `app=web,tier!=db,env in (a,b),!old,size>3`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fail = |why| NameError { kind: "label selector", value: text.to_owned(), why };
        if text.len() > MAX_SELECTOR_BYTES {
            return Err(fail("too long"));
        }
        let mut conditions = Vec::new();
        for part in split_outside_parentheses(text) {
            conditions.push(LabelCondition::parse(part.trim()).map_err(fail)?);
        }
        Ok(Self(conditions))
    }

    /// Whether it matches labels; `label` returns the value of a key. As in the API server, an absent
    /// label differs from every value, and a value that is not a number fails a comparison.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|condition| condition.test.holds(label(&condition.key)))
    }
}

impl LabelTest {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::Equals(wanted) => value == Some(wanted),
            Self::Differs(other) => value != Some(other),
            Self::In(wanted) => value.is_some_and(|value| wanted.iter().any(|one| one == value)),
            Self::NotIn(others) => value.is_none_or(|value| others.iter().all(|one| one != value)),
            Self::Above(limit) => number().is_some_and(|number| number > *limit),
            Self::Below(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

/// Splits at the commas outside of parentheses.
fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|c| {
        match c {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        c == ',' && !inside
    })
    .collect()
}

impl LabelCondition {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(key) = text.strip_prefix('!') {
            return Ok(Self { key: label_key(key.trim())?, test: LabelTest::Absent });
        }
        if let Some((head, list)) = text.split_once('(') {
            let list = list.trim_end().strip_suffix(')').ok_or("missing closing parenthesis")?;
            let values = list.split(',').map(|v| label_value(v.trim())).collect::<Result<Vec<_>, _>>()?;
            let mut words = head.split_whitespace();
            let key = label_key(words.next().ok_or("missing key")?)?;
            let test = match (words.next(), words.next()) {
                (Some("in"), None) => LabelTest::In(values),
                (Some("notin"), None) => LabelTest::NotIn(values),
                _ => return Err("a list needs `in` or `notin`"),
            };
            return Ok(Self { key, test });
        }
        let (key, test) = if let Some((key, value)) = text.split_once("!=") {
            (key, LabelTest::Differs(label_value(value.trim())?))
        } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            (key, LabelTest::Equals(label_value(value.trim())?))
        } else if let Some((key, value)) = text.split_once('>') {
            (key, LabelTest::Above(whole_number(value)?))
        } else if let Some((key, value)) = text.split_once('<') {
            (key, LabelTest::Below(whole_number(value)?))
        } else {
            (text, LabelTest::Exists)
        };
        Ok(Self { key: label_key(key.trim())?, test })
    }
}

fn whole_number(text: &str) -> Result<i64, &'static str> {
    text.trim().parse().map_err(|_| "`<` and `>` need a whole number")
}

/// `name` or `prefix.example/name`.
fn label_key(text: &str) -> Result<String, &'static str> {
    const WHY: &str = "invalid key";
    let name = match text.split_once('/') {
        None => text,
        Some((prefix, name)) => {
            crate::names::Group::parse(prefix).ok().filter(|p| !p.is_core()).ok_or(WHY)?;
            name
        }
    };
    if name.is_empty() || label_value(name).is_err() { Err(WHY) } else { Ok(text.to_owned()) }
}

fn label_value(text: &str) -> Result<String, &'static str> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let edge = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    if text.len() <= 63
        && text.bytes().all(inner)
        && edge(text.bytes().next())
        && edge(text.bytes().next_back())
    {
        Ok(text.to_owned())
    } else {
        Err("invalid value")
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, LabelCondition { key, test }) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            match test {
                LabelTest::Exists => write!(f, "{key}")?,
                LabelTest::Absent => write!(f, "!{key}")?,
                LabelTest::Equals(value) => write!(f, "{key}={value}")?,
                LabelTest::Differs(value) => write!(f, "{key}!={value}")?,
                LabelTest::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                LabelTest::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                LabelTest::Above(value) => write!(f, "{key}>{value}")?,
                LabelTest::Below(value) => write!(f, "{key}<{value}")?,
            }
        }
        Ok(())
    }
}

/// Conditions on fields; all must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSelector(Vec<FieldCondition>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldCondition {
    path: String,
    equal: bool,
    value: String,
}

impl FieldSelector {
    /// Parses `metadata.name=web-0,status.phase!=Running`; a backslash escapes `, = \` in values.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fail = |why| NameError { kind: "field selector", value: text.to_owned(), why };
        if text.len() > MAX_SELECTOR_BYTES {
            return Err(fail("too long"));
        }
        split_at_bare_commas(text)
            .iter()
            .map(|part| FieldCondition::parse(part))
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(fail)
    }

    /// The only name that this selector matches, as the API server's authorizer determines it.
    pub fn selected_name(&self) -> Option<&str> {
        self.0.iter().find(|c| c.equal && c.path == "metadata.name").map(|c| c.value.as_str())
    }

    /// The fields it selects by, such as `status.phase`.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|condition| condition.path.as_str())
    }

    /// Whether it matches fields; `field` returns the value of a path, or an empty string if there is none.
    pub fn matches(&self, field: impl Fn(&str) -> String) -> bool {
        self.0.iter().all(|condition| (field(&condition.path) == condition.value) == condition.equal)
    }
}

fn split_at_bare_commas(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == ',' {
            parts.push(String::new());
            continue;
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
            if c == '\\' {
                last.extend(chars.next());
            }
        }
    }
    parts
}

impl FieldCondition {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (path, equal, value) = if let Some((path, value)) = text.split_once("!=") {
            (path, false, value)
        } else if let Some((path, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            (path, true, value)
        } else {
            return Err("a condition needs `=` or `!=`");
        };
        let path = path.trim();
        if path.is_empty() || !path.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_/[]".contains(&b)) {
            return Err("invalid field path");
        }
        Ok(Self { path: path.to_owned(), equal, value: unescape(value)? })
    }
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => value.push(escaped),
                _ => return Err("a backslash can only escape `, = \\`"),
            },
            '=' => return Err("unescaped `=` in a value"),
            c if c.is_control() => return Err("contains control characters"),
            c => value.push(c),
        }
    }
    Ok(value)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, condition) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}{}", condition.path, if condition.equal { "=" } else { "!=" })?;
            for c in condition.value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_label_selector_is_parsed() {
        let text = "app=web, tier!=db,env in (a, b),zone notin (c),x,!y,size>3,age<4,a.b/c==d";
        assert_eq!(
            LabelSelector::parse(text).unwrap().to_string(),
            "app=web,tier!=db,env in (a,b),zone notin (c),x,!y,size>3,age<4,a.b/c=d"
        );
    }

    #[test]
    fn selector_with_another_parameter_is_refused() {
        for bad in ["a=b&fieldSelector=x", "a=b fieldSelector", "a in (b", "", "a=b,,c", "a#b", "in (x)"] {
            assert!(LabelSelector::parse(bad).is_err(), "{bad}");
        }
        for bad in ["", "metadata.name", "a b=c", "a=b=c", "a=\\x", "a&b=c"] {
            assert!(FieldSelector::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_match_as_in_the_api_server() {
        let labels = |key: &str| match key {
            "app" => Some("web"),
            "size" => Some("4"),
            "empty" => Some(""),
            _ => None,
        };
        for matching in [
            "app",
            "app=web",
            "app==web",
            "app!=db",
            "app in (web,db)",
            "app notin (db)",
            "!absent",
            "absent!=db",
            "absent notin (db)",
            "size>3",
            "size<5",
            "empty=",
            "empty",
            "app=web,size>-1",
        ] {
            assert!(LabelSelector::parse(matching).unwrap().matches(labels), "{matching}");
        }
        for other in [
            "absent",
            "absent=",
            "absent in (web)",
            "absent>1",
            "!app",
            "app=db",
            "app!=web",
            "app in (db)",
            "app notin (web,db)",
            "size>4",
            "size<4",
            "app>1",
            "app<1",
            "empty>1",
            "app=web,absent",
        ] {
            assert!(!LabelSelector::parse(other).unwrap().matches(labels), "{other}");
        }
    }

    #[test]
    fn fields_match_if_every_condition_holds() {
        let fields = |path: &str| match path {
            "metadata.name" => "web-0".to_owned(),
            "status.phase" => "Running".to_owned(),
            _ => String::new(),
        };
        for matching in ["metadata.name=web-0", "metadata.name==web-0,status.phase!=Failed", "spec.nodeName="]
        {
            assert!(FieldSelector::parse(matching).unwrap().matches(fields), "{matching}");
        }
        for other in ["metadata.name=web", "metadata.name=web-0,status.phase=Failed", "spec.nodeName!="] {
            assert!(!FieldSelector::parse(other).unwrap().matches(fields), "{other}");
        }
    }

    #[test]
    fn selected_name_is_the_one_the_authorizer_sees() {
        let selector = FieldSelector::parse("metadata.name=web-0").unwrap();
        assert_eq!(selector.selected_name(), Some("web-0"));
        let selector = FieldSelector::parse("metadata.name!=web-0").unwrap();
        assert_eq!(selector.selected_name(), None);
    }

    proptest! {
        #[test]
        fn label_selector_parses_back(text in "[a-c =!<>(),/.in]{0,24}") {
            if let Ok(selector) = LabelSelector::parse(&text) {
                let written = selector.to_string();
                prop_assert_eq!(LabelSelector::parse(&written).unwrap(), selector);
            }
        }

        #[test]
        fn field_selector_parses_back(text in "[a-c.=!,\\\\ ]{0,24}") {
            if let Ok(selector) = FieldSelector::parse(&text) {
                let written = selector.to_string();
                prop_assert_eq!(FieldSelector::parse(&written).unwrap(), selector);
            }
        }
    }
}
