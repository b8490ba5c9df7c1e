//! What can draw on this computer, whatever its screen.

use crate::present::window::at_once;

/// Something that draws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// As the driver calls it.
    pub name: String,
    /// Through which interface.
    pub backend: String,
    /// Whether it is a program on the processor.
    pub is_software: bool,
}

/// All that there are.
pub fn adapters() -> Vec<Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let of = |backends| at_once(instance.enumerate_adapters(backends));
    // Those of Vulkan are there through OpenGL once more.
    let found = Some(of(wgpu::Backends::VULKAN)).filter(|found| !found.is_empty());
    let found = found.unwrap_or_else(|| of(wgpu::Backends::GL));
    let adapter = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        let is_software = info.device_type == wgpu::DeviceType::Cpu;
        Adapter { name: info.name, backend: info.backend.to_string(), is_software }
    };
    found.iter().map(adapter).collect()
}
