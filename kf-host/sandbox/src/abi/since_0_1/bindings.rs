//! Generated from the WIT.

wasmtime::component::bindgen!({
    path: "../../kf-plugin-sdk/wit/since-0.1.0",
    world: "command",
    imports: {
        "kf:plugin/poll.wait": async | trappable,
        "kf:plugin/kube": async | trappable,
        "kf:plugin/logs": async | trappable,
        "kf:plugin/sessions": async | trappable,
        "kf:plugin/pod-http": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "kf:plugin/poll.pollable": crate::poll::Pollable,
        "kf:plugin/kube.watch": super::kube::Watch,
        "kf:plugin/logs.log-stream": super::logs::LogStream,
        "kf:plugin/logs.forwarding": crate::forward::Forwarding,
        "kf:plugin/sessions.process": super::sessions::Process,
        "kf:plugin/sessions.port-forward": super::sessions::PortForward,
        "kf:plugin/ui.live-table": super::ui::LiveTable,
        "kf:plugin/ui.progress": super::ui::Progress,
    },
});
