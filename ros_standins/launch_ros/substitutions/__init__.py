"""Where a package's files are."""

from __future__ import annotations

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch import LaunchContext, SomeSubstitutionsType, Substitution

__all__ = ["FindPackagePrefix", "FindPackageShare"]


class FindPackagePrefix(Substitution):
    def __init__(self, package: SomeSubstitutionsType) -> None:
        self.package = package

    def perform(self, context: LaunchContext) -> str:
        return get_package_prefix(context.perform_substitutions(self.package))


class FindPackageShare(FindPackagePrefix):
    def perform(self, context: LaunchContext) -> str:
        return get_package_share_directory(context.perform_substitutions(self.package))
