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

/// The steps of a verification, in the order in which they run.
pub const VERIFICATION: [Kernel; 5] = [KEYS, HRAM, DSM, FINISH, COFACTOR];

/// Every kernel.
pub const ALL: [Kernel; 7] = [KEYS, HRAM, DSM, FINISH, COFACTOR, NODE, LEAF];

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
/// The equation with its factor 8, where the encoding was another.
pub const COFACTOR: Kernel = Kernel {
    name: "cofactor",
    parts: &["scalar", "field", "point", "verification"],
    body: include_str!("../../../shaders/kernels/cofactor.wgsl"),
};
/// One level of a Merkle tree.
pub const NODE: Kernel = Kernel {
    name: "node",
    parts: &["bytes", "sha256"],
    body: include_str!("../../../shaders/kernels/node.wgsl"),
};

/// Both hashes of an envelope.
pub const LEAF: Kernel = Kernel {
    name: "leaf",
    parts: &["bytes", "sha256"],
    body: include_str!("../../../shaders/kernels/leaf.wgsl"),
};

/// Kernels that call the functions of one part, for tests.
pub const PROBES: [Kernel; 5] = [
    Kernel {
        name: "field",
        parts: &["field", "probe"],
        body: include_str!("../../../shaders/probes/field.wgsl"),
    },
    Kernel {
        name: "point",
        parts: &["field", "point", "probe"],
        body: include_str!("../../../shaders/probes/point.wgsl"),
    },
    Kernel {
        name: "scalar",
        parts: &["scalar", "probe"],
        body: include_str!("../../../shaders/probes/scalar.wgsl"),
    },
    Kernel {
        name: "sha256",
        parts: &["bytes", "sha256", "probe"],
        body: include_str!("../../../shaders/probes/sha256.wgsl"),
    },
    Kernel {
        name: "sha512",
        parts: &["sha512", "probe"],
        body: include_str!("../../../shaders/probes/sha512.wgsl"),
    },
];

const PARTS: [(&str, &str); 8] = [
    ("bytes", include_str!("../../../shaders/lib/bytes.wgsl")),
    ("sha256", include_str!("../../../shaders/lib/sha256.wgsl")),
    ("sha512", include_str!("../../../shaders/lib/sha512.wgsl")),
    ("scalar", include_str!("../../../shaders/lib/scalar.wgsl")),
    ("field", include_str!("../../../shaders/lib/field.wgsl")),
    ("point", include_str!("../../../shaders/lib/point.wgsl")),
    ("probe", include_str!("../../../shaders/lib/probe.wgsl")),
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
