"""Packaging of tf1-wd; compiles the decay op into the wheel where TensorFlow can be imported while building."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys

from setuptools import Distribution, find_packages, setup
from setuptools.command.build_py import build_py

HERE = os.path.dirname(os.path.abspath(__file__))
# with build isolation there is no TensorFlow: the op is then compiled on first use
HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
PATCH = ["libcst>=1.0.1,<2"]  # 1.0.1 is the last that runs on Python 3.7
# to compile and inspect the GPU kernels, on any machine; the tools that know sm_50 and those that know Blackwell
CUDA = [
    "nvidia-cuda-nvrtc-cu12==12.5.82",
    "nvidia-cuda-nvcc-cu12==12.9.86",
    "nvidia-cuda-cuobjdump==13.5.37",
    "nvidia-cuda-nvdisasm==13.5.37",
]
DEMO = ["tf-slim", "matplotlib", "tqdm"]
# what old programs import; tensorflow-estimator requires no TensorFlow, and TensorFlow 1.15 and 2.15 bring their own
LEGACY = [
    "tf-slim",
    "tf-keras; python_version>='3.8'",
    "tensorflow-estimator==2.15.0; python_version>='3.8'",
    "pillow",
    "scipy",
    "matplotlib",
    *PATCH,
]


def read(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


class BuildWithOp(build_py):
    """build_py, then the op and its stamp beside the Python files; a failure leaves it to the first use."""

    def run(self):
        prebuilt = os.path.join(self.build_lib, "tf1_wd", "native", "prebuilt")
        shutil.rmtree(prebuilt, ignore_errors=True)  # of a build before, perhaps for another TensorFlow
        super().run()
        if HAS_TENSORFLOW and not getattr(self, "editable_mode", False):
            try:
                self.compile_op(prebuilt)
            except Exception as error:  # whatever is wrong with this TensorFlow or compiler, the package works without
                print("tf1_wd: the decay op is left to first use: %s" % error, file=sys.stderr)

    def compile_op(self, prebuilt):
        sys.path.insert(0, HERE)
        from tf1_wd.native import build, cache, loader

        tensorflow = loader.tensorflow_build()
        directory = os.path.join(prebuilt, cache.directory_name(tensorflow))
        path = cache.install(tensorflow, build.find_compiler(), directory, loader.try_library)
        print("tf1_wd: compiled the decay op for TensorFlow %s: %s" % (tensorflow.version, path), file=sys.stderr)


class PlatformDistribution(Distribution):
    """A wheel with a compiled op is for one platform."""

    def has_ext_modules(self):
        return HAS_TENSORFLOW


setup(
    name="tf1-wd",
    version=re.search(r'__version__ = "([^"]+)"', read("tf1_wd/__init__.py")).group(1),
    description="True (decoupled) weight decay for TensorFlow-1 graph-mode code, on TF 1.15 and 2.x",
    long_description=read("README.md") if os.path.exists(os.path.join(HERE, "README.md")) else "",
    long_description_content_type="text/markdown",
    author="The maintainers of tf1_wd",
    license="Apache-2.0",
    keywords="tensorflow, weight decay, decoupled weight decay, AdamW, L2 regularization, TensorFlow 1, migration",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: C++",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.7",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.7",
    packages=[*find_packages(include=["tf1_wd", "tf1_wd.*"]), "tf1_wd.legacy_examples"],
    package_dir={"tf1_wd.legacy_examples": "legacy_examples"},
    package_data={
        "tf1_wd": ["py.typed", "__init__.pyi"],
        "tf1_wd.native": ["csrc/*"],
        "tf1_wd.commands.audit": ["page.html"],
        "tf1_wd.legacy_examples": ["data/*"],
    },
    install_requires=[],
    extras_require={
        "tensorflow": [
            "tensorflow>=1.15.5,<2; python_version<'3.8'",
            "protobuf<3.21; python_version<'3.8'",
            "tensorflow; python_version>='3.8'",
            "tf-keras; python_version>='3.8'",
        ],
        "legacy": LEGACY,
        "demo": DEMO,
        "patch": PATCH,
        "cuda": CUDA,
        # tensorflow-estimator requires no TensorFlow; TensorFlow 1.15 and 2.15 bring their own
        "test": [
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "setuptools",
            "tensorflow-estimator==2.15.0; python_version>='3.8'",
            *DEMO,
            *PATCH,
        ],
    },
    entry_points={"console_scripts": ["tf1-wd = tf1_wd.cli.main:main"]},
    cmdclass={"build_py": BuildWithOp},
    distclass=PlatformDistribution,
)
