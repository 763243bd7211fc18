//! Amounts of resources, as flags give them.

use std::fmt;
use std::str::FromStr;

use crate::objects::Object;
use crate::quantity::Quantity;

const NVIDIA: &str = "nvidia.com/gpu";

/// An amount as it was typed, such as `500m` or `16Gi`; more than nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount(String);

impl Amount {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Quantity>() {
            Ok(quantity) if quantity > Quantity::ZERO => Ok(Self(text.to_owned())),
            Ok(_) => Err(format!("`{text}` is nothing; write `500m`, `2` or `4Gi`")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A number of devices: `1` of NVIDIA's GPUs, or of another resource as in `amd.com/gpu=1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devices {
    pub resource: String,
    pub count: u32,
}

impl FromStr for Devices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (resource, count) = text.split_once('=').unwrap_or((NVIDIA, text));
        match count.parse() {
            Ok(count) if !resource.is_empty() => Ok(Self { resource: resource.to_owned(), count }),
            _ => Err(format!("`{text}` is no number of devices; write `1` or `amd.com/gpu=1`")),
        }
    }
}

/// As it would be typed.
impl fmt::Display for Devices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resource.as_str() {
            NVIDIA => self.count.fmt(formatter),
            resource => write!(formatter, "{resource}={}", self.count),
        }
    }
}

/// What was asked for, by the names of Kubernetes' resources.
pub fn amounts(
    cpu: Option<&Amount>,
    memory: Option<&Amount>,
    devices: Option<&Devices>,
) -> Vec<(String, String)> {
    let named = |name: &str, amount: &Amount| (name.to_owned(), amount.to_string());
    let cpu = cpu.map(|amount| named("cpu", amount));
    let memory = memory.map(|amount| named("memory", amount));
    let devices = devices.map(|devices| (devices.resource.clone(), devices.count.to_string()));
    cpu.into_iter().chain(memory).chain(devices).collect()
}

/// What is asked for is what there is: requests and limits below the pointer become the same.
pub fn set_resources(object: &mut Object, pointer: &str, amounts: &[(String, String)]) {
    for (name, amount) in amounts {
        let name = name.replace('~', "~0").replace('/', "~1");
        for part in ["requests", "limits"] {
            object.set(&format!("{pointer}/{part}/{name}"), amount.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_what_kubernetes_takes() {
        for right in ["2", "0.5", "500m", "4Gi", "10G", "1e3"] {
            assert_eq!(right.parse::<Amount>().map(|amount| amount.to_string()), Ok(right.to_owned()));
        }
        for wrong in ["", "0", "-1", "4GB", "lots", "Gi", "inf", "1e", "NaN", "1.5.2", "16 Gi"] {
            assert!(wrong.parse::<Amount>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn devices_of_another_maker_are_named() {
        for (text, resource, count) in [("2", NVIDIA, 2), ("amd.com/gpu=1", "amd.com/gpu", 1)] {
            let devices: Devices = text.parse().unwrap();
            assert_eq!((devices.resource.as_str(), devices.count), (resource, count));
            assert_eq!(devices.to_string(), text);
        }
        for wrong in ["two", "=1", "nvidia.com/gpu=", "-1", ""] {
            assert!(wrong.parse::<Devices>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn requests_and_limits_are_the_same() {
        let amounts = amounts(
            Some(&"500m".parse().unwrap()),
            Some(&"1Gi".parse().unwrap()),
            Some(&"amd.com/gpu=2".parse().unwrap()),
        );
        let mut object = Object::default();
        set_resources(&mut object, "/resources", &amounts);
        let all = json!({ "cpu": "500m", "memory": "1Gi", "amd.com/gpu": "2" });
        assert_eq!(object.at("/resources"), Some(&json!({ "requests": all, "limits": all })));
    }
}
