use kf_plugin_sdk::prelude::*;

const NVIDIA: &str = "nvidia.com/gpu";

/// What a notebook's container may use; requests and limits are the same.
#[derive(clap::Args, Debug, Default, Describe)]
pub(crate) struct Resources {
    /// CPUs of a notebook, such as 2 or 500m
    #[arg(long, value_name = "AMOUNT", help_heading = "A notebook")]
    cpu: Option<String>,
    /// Memory of a notebook, such as 4Gi
    #[arg(long, value_name = "AMOUNT", help_heading = "A notebook")]
    memory: Option<String>,
    /// GPUs of a notebook; NAME=COUNT for others than nvidia.com/gpu
    #[arg(long, value_name = "COUNT", help_heading = "A notebook")]
    gpu: Option<String>,
}

impl Resources {
    pub(crate) fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none() && self.gpu.is_none()
    }

    /// By resource name.
    pub(crate) fn amounts(&self) -> Result<Vec<(String, String)>> {
        let mut amounts = Vec::new();
        for (option, name, amount) in [("--cpu", "cpu", &self.cpu), ("--memory", "memory", &self.memory)] {
            if let Some(amount) = amount {
                amounts.push((name.to_owned(), quantity(option, amount)?));
            }
        }
        if let Some(gpu) = &self.gpu {
            let (name, count) = gpu.split_once('=').unwrap_or((NVIDIA, gpu));
            if name.is_empty() || count.parse::<u32>().is_err() {
                return Err(Error::invalid(format!(
                    "--gpu {gpu} is no count; write --gpu 1 or --gpu amd.com/gpu=1"
                )));
            }
            amounts.push((name.to_owned(), count.to_owned()));
        }
        Ok(amounts)
    }

    /// As they were typed.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> {
        let options = [("--cpu", &self.cpu), ("--memory", &self.memory), ("--gpu", &self.gpu)];
        options.into_iter().filter_map(|(option, value)| Some(format!("{option} {}", value.as_ref()?)))
    }
}

/// A number with one of Kubernetes' suffixes.
pub(super) fn quantity(option: &str, text: &str) -> Result<String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = text.strip_prefix(number).unwrap_or_default();
    let suffixes = ["", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi"];
    let is_number =
        number.starts_with(|c: char| c.is_ascii_digit()) && number.parse::<f64>().is_ok_and(|n| n > 0.0);
    if is_number && suffixes.contains(&suffix) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(format!("{option} {text} is no amount; write 2, 500m or 4Gi")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_what_kubernetes_takes() {
        for good in ["2", "0.5", "500m", "4Gi", "10G"] {
            assert_eq!(quantity("--cpu", good), Ok(good.to_owned()));
        }
        for bad in ["", "0", "-1", "4GB", "lots", "Gi", "inf", "1e", "NaN"] {
            let error = quantity("--memory", bad).unwrap_err();
            assert_eq!(error.message, format!("--memory {bad} is no amount; write 2, 500m or 4Gi"));
        }
    }

    #[test]
    fn gpus_of_another_vendor_are_named() {
        let of = |gpu: &str| Resources { gpu: Some(gpu.into()), ..Resources::default() }.amounts();
        assert_eq!(of("2"), Ok(vec![(NVIDIA.into(), "2".into())]));
        assert_eq!(of("amd.com/gpu=1"), Ok(vec![("amd.com/gpu".into(), "1".into())]));
        assert!(of("some").is_err());
        assert!(of("=1").is_err());
    }
}
