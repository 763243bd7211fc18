//! Resource quantities set by flags.

use std::fmt;
use std::str::FromStr;

use crate::objects::Object;
use crate::quantity::Quantity;

const NVIDIA: &str = "nvidia.com/gpu";

/// A positive quantity as typed, such as `500m` or `16Gi`.
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
            Ok(_) => Err(format!("invalid quantity `{text}`: must be greater than zero")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A number of devices: `1` for NVIDIA GPUs, or another resource as in `amd.com/gpu=1`.
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
            _ => Err(format!("invalid device count `{text}`; use `1` or `amd.com/gpu=1`")),
        }
    }
}

/// Formats as typed.
impl fmt::Display for Devices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resource.as_str() {
            NVIDIA => self.count.fmt(formatter),
            resource => write!(formatter, "{resource}={}", self.count),
        }
    }
}

/// Returns the requested resources as pairs of name and quantity.
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

/// Sets both requests and limits below the pointer.
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
    fn positive_quantities_are_parsed() {
        for right in ["2", "0.5", "500m", "4Gi", "10G", "1e3"] {
            assert_eq!(right.parse::<Amount>().map(|amount| amount.to_string()), Ok(right.to_owned()));
        }
        for wrong in ["", "0", "-1", "4GB", "lots", "Gi", "inf", "1e", "NaN", "1.5.2", "16 Gi"] {
            assert!(wrong.parse::<Amount>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn other_devices_need_resource_name() {
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
    fn requests_and_limits_are_both_set() {
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
