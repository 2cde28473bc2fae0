<#
.SYNOPSIS
  Installs containerd-shim-isol-v1 on a Windows node and adds its runtimes to containerd's configuration.
.DESCRIPTION
  Copies the shim (and isol-guest and isolctl, if they lie beside) into containerd's folder, writes the runtime entries isol-process and
  isol-hyperv into a drop-in file that config.toml imports, and restarts containerd if it started before that was written. Running it
  again changes nothing that is already so. Pods that run keep their shim: the old program is renamed, which Windows allows while
  it runs, and the new one takes its name. A new program alone needs no restart: containerd starts it for the next pod.
.EXAMPLE
  .\install.ps1 -Source .\bin\windows-amd64
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [string] $Source,
    [string] $ContainerdDir = "$env:ProgramFiles\containerd",
    [string] $ConfigFile = "",
    [switch] $NoRestart
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version Latest

$shim = Join-Path $Source 'containerd-shim-isol-v1.exe'
if (-not (Test-Path $shim)) { throw "no containerd-shim-isol-v1.exe in ${Source}: build it with 'make build' or give the folder that holds it with -Source" }
if (-not (Test-Path $ContainerdDir)) { throw "no containerd in ${ContainerdDir}: install containerd 2.x first or give its folder with -ContainerdDir" }

$bin = if (Test-Path (Join-Path $ContainerdDir 'bin')) { Join-Path $ContainerdDir 'bin' } else { $ContainerdDir }
if (-not $ConfigFile) { $ConfigFile = Join-Path $ContainerdDir 'config.toml' }

function Install-Program([string] $from) {
    $to = Join-Path $bin (Split-Path $from -Leaf)
    if ((Test-Path $to) -and (Get-FileHash $to).Hash -eq (Get-FileHash $from).Hash) { Write-Host "current: $to"; return }
    if (-not $PSCmdlet.ShouldProcess($to, 'install')) { return }
    # copied first, so that the name is missing for no longer than a rename
    Copy-Item $from "$to.new" -Force
    if (Test-Path $to) {
        # a running shim holds its image file open, but the file may be renamed
        $old = "$to.old-$(Get-Date -Format yyyyMMddHHmmss)"
        Move-Item $to $old
        Write-Host "moved:   $old"
    }
    Move-Item "$to.new" $to
    Write-Host "copied:  $to"
}

Install-Program $shim
foreach ($name in 'isol-guest.exe', 'isolctl.exe') {
    $program = Join-Path $Source $name
    if (Test-Path $program) { Install-Program $program }
}
# earlier versions that no shim runs any more
Get-ChildItem $bin -Filter '*isol*.exe.old-*' | ForEach-Object { Remove-Item $_.FullName -ErrorAction SilentlyContinue }

$dropin = Join-Path (Split-Path $ConfigFile) 'isol.toml'
$entry = @'
version = 3

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.isol-process]
  runtime_type = "io.containerd.isol.v1"
  pod_annotations = ["io.isol.*"]
  container_annotations = ["io.microsoft.container.*", "io.isol.*"]
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.isol-process.options]
    isolation = "process"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.isol-hyperv]
  runtime_type = "io.containerd.isol.v1"
  pod_annotations = ["io.microsoft.virtualmachine.*", "io.isol.*"]
  container_annotations = ["io.microsoft.container.*", "io.isol.*"]
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.isol-hyperv.options]
    isolation = "hyperv"
'@
if ((Test-Path $dropin) -and (Get-Content $dropin -Raw).Trim() -eq $entry.Trim()) {
    Write-Host "current: $dropin"
} else {
    Set-Content -Path $dropin -Value $entry -Encoding ascii
    Write-Host "written: $dropin"
}

$config = if (Test-Path $ConfigFile) { Get-Content $ConfigFile -Raw -Encoding UTF8 } else { "version = 3`r`n" }
$path = $dropin.Replace('\', '\\')
if ($config -notmatch [regex]::Escape($path)) {
    # a list on one line takes one more; other forms are for a person
    $list = [regex]::Match($config, '(?m)^(imports\s*=\s*\[)([^\]\r\n]*)\]')
    if ($list.Success) {
        $have = $list.Groups[2].Value.Trim().TrimEnd(',')
        $now = if ($have) { "$have, `"$path`"" } else { "`"$path`"" }
        $config = $config.Remove($list.Index, $list.Length).Insert($list.Index, $list.Groups[1].Value + $now + ']')
    } elseif ($config -match '(?m)^\s*imports\s*=') {
        throw "$ConfigFile has an imports line already: add `"$path`" to it and run this again"
    } else {
        # imports is a top-level key: it must stand before the first table
        $config = $config -replace '(?m)^(version\s*=\s*\d+[^\r\n]*)', "`$1`r`nimports = [`"$path`"]"
        if ($config -notmatch [regex]::Escape($path)) { throw "$ConfigFile has no version line: put 'version = 3' at its top and run this again" }
    }
    if ($PSCmdlet.ShouldProcess($ConfigFile, "import $dropin")) {
        [IO.File]::WriteAllText($ConfigFile, $config, [Text.UTF8Encoding]::new($false)) # TOML is UTF-8; Set-Content of Windows PowerShell adds a byte order mark
        Write-Host "imports: $dropin in $ConfigFile"
    }
} else {
    Write-Host "current: $ConfigFile"
}

if ($WhatIfPreference) { return }
# by the clock and not by what this run wrote: a run that was cut off before the restart must not make the next one forget it
$written = (Get-Item $dropin, $ConfigFile | Sort-Object LastWriteTime | Select-Object -Last 1).LastWriteTime
$service = Get-Service containerd -ErrorAction SilentlyContinue
$process = Get-Process containerd -ErrorAction SilentlyContinue | Select-Object -First 1
if ($NoRestart -or -not $service) {
    Write-Host 'containerd is not restarted'
} elseif ($process -and $process.StartTime -gt $written) {
    Write-Host 'current: containerd has read its configuration'
} else {
    Restart-Service containerd -Force # with what depends on it, as a kubelet may
    Write-Host 'containerd restarted; running containers keep running'
}
Write-Host 'done: try  ctr run --rm --runtime io.containerd.isol.v1 IMAGE hello cmd /c echo hello'
