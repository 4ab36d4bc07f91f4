//! The kernel table: each shader, put together from its parts; the only file with shader text.

/// One entry point, named as its file in `shaders/kernels` or `shaders/probes`.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Name of the file and of the entry point.
    pub name: &'static str,
    /// Parts that stand before it, in order.
    parts: &'static [&'static str],
    body: &'static str,
}

/// The four steps of a verification, in the order in which they run.
pub const VERIFICATION: [Kernel; 4] = [KEYS, HRAM, DSM, FINISH];

/// Every kernel.
pub const ALL: [Kernel; 5] = [KEYS, HRAM, DSM, FINISH, NODE];

/// Decodes new keys and fills their slots.
pub const KEYS: Kernel = Kernel {
    name: "keys",
    parts: &["field", "point", "verification"],
    body: include_str!("../../../shaders/kernels/keys.wgsl"),
};
/// Hashes R, A and the message, and reduces modulo L.
pub const HRAM: Kernel = Kernel {
    name: "hram",
    parts: &["bytes", "sha512", "scalar", "field", "verification"],
    body: include_str!("../../../shaders/kernels/hram.wgsl"),
};
/// Multiplies and adds: `[S]B - [k]A`.
pub const DSM: Kernel = Kernel {
    name: "dsm",
    parts: &["field", "point", "verification"],
    body: include_str!("../../../shaders/kernels/dsm.wgsl"),
};
/// Encodes and compares with R.
pub const FINISH: Kernel = Kernel {
    name: "finish",
    parts: &["scalar", "field", "point", "verification"],
    body: include_str!("../../../shaders/kernels/finish.wgsl"),
};
/// One level of a Merkle tree.
pub const NODE: Kernel = Kernel {
    name: "node",
    parts: &["bytes", "sha256"],
    body: include_str!("../../../shaders/kernels/node.wgsl"),
};

const PARTS: [(&str, &str); 7] = [
    ("bytes", include_str!("../../../shaders/lib/bytes.wgsl")),
    ("sha256", include_str!("../../../shaders/lib/sha256.wgsl")),
    ("sha512", include_str!("../../../shaders/lib/sha512.wgsl")),
    ("scalar", include_str!("../../../shaders/lib/scalar.wgsl")),
    ("field", include_str!("../../../shaders/lib/field.wgsl")),
    ("point", include_str!("../../../shaders/lib/point.wgsl")),
    (
        "verification",
        include_str!("../../../shaders/lib/verification.wgsl"),
    ),
];

impl Kernel {
    /// The whole shader.
    #[must_use]
    pub fn source(&self) -> String {
        let parts = self.parts.iter().map(|name| part(name));
        parts.chain([self.body]).collect::<Vec<_>>().join("\n")
    }
}

/// The text of one part.
///
/// # Panics
/// When there is no such part.
#[must_use]
pub fn part(name: &str) -> &'static str {
    let found = PARTS.iter().find(|(part, _)| *part == name);
    found.expect("a file of shaders/lib").1
}
