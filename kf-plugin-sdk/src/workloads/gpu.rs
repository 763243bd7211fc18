/// Returns whether a resource is a GPU of any vendor: `nvidia.com/gpu`, `amd.com/gpu`, `gpu.intel.com/i915`, or a slice
/// such as `nvidia.com/mig-1g.5gb`.
pub fn is_gpu(resource: &str) -> bool {
    let Some((domain, name)) = resource.split_once('/') else { return false };
    name == "gpu" || name.starts_with("mig-") || name.starts_with("gpu.") || domain.starts_with("gpu.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_of_all_vendors_are_recognized() {
        for gpu in ["nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.5gb", "gpu.intel.com/i915"] {
            assert!(is_gpu(gpu), "{gpu}");
        }
        for other in ["cpu", "memory", "ephemeral-storage", "rdma/hca", "hugepages-2Mi"] {
            assert!(!is_gpu(other), "{other}");
        }
    }
}
