<#
.SYNOPSIS
  Puts a released containerd on a CI runner, for the end-to-end tests against the real Host Compute Service.
#>
[CmdletBinding()]
param([Parameter(Mandatory)] [string] $Version)
$ErrorActionPreference = 'Stop'
if ((Get-WindowsFeature Containers).InstallState -ne 'Installed') { throw 'this runner has no Containers feature: use a Windows Server image that has it' }
$dir = "$env:ProgramFiles\containerd"
if (-not (Test-Path "$dir\bin\containerd.exe")) {
    New-Item -ItemType Directory -Force $dir | Out-Null
    $tar = "$env:TEMP\containerd.tar.gz"
    Invoke-WebRequest -UseBasicParsing -OutFile $tar "https://github.com/containerd/containerd/releases/download/v$Version/containerd-$Version-windows-amd64.tar.gz"
    tar.exe -xzf $tar -C $dir
}
& "$PSScriptRoot\install.ps1" -Source "$PWD\bin" -ContainerdDir $dir -NoRestart
if (-not (Get-Service containerd -ErrorAction SilentlyContinue)) { & "$dir\bin\containerd.exe" --register-service --config "$dir\config.toml" }
Restart-Service containerd
