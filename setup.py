"""The packages, which setuptools cannot read from pyproject.toml: tutorials/ is refhf/lessons in a wheel."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["refhf*"]), "refhf.lessons"],
    package_dir={"refhf.lessons": "tutorials"},
)
