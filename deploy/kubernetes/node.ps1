<#
.SYNOPSIS
  Installs isol on the node that this runs on; the init container of installer.yaml.
.DESCRIPTION
  Runs as a HostProcess container: its files are the image's, its machine is the node. All that it does is deploy/install.ps1,
  which may run any number of times. A node without containerd where it is expected is an error that the pod shows.
#>
[CmdletBinding()]
param([string] $ContainerdDir = "$env:ProgramFiles\containerd")
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version Latest

# the programs of the node's processor; ARM64 nodes need an image that has them
$source = Join-Path $PSScriptRoot "windows-$($env:PROCESSOR_ARCHITECTURE.ToLowerInvariant())"
if (-not (Test-Path $source)) { throw "this image has no programs for $env:PROCESSOR_ARCHITECTURE nodes: build it with both folders of bin" }
& (Join-Path $PSScriptRoot 'install.ps1') -Source $source -ContainerdDir $ContainerdDir
