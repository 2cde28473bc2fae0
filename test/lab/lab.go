package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"

	"github.com/isolrun/isol/test/hcsemu/wire"
	"github.com/isolrun/isol/test/lab/image"
)

// Config says what lab to start. The zero value is a Windows Server 2022 with
// Microsoft's shim only.
type Config struct {
	Windows    Windows           // the version to show; zero means Server2022
	Shims      map[string]string // file name (containerd-shim-isol-v1.exe) to its path on this machine; copied beside containerd.exe
	Images     []Windows         // the images to store; empty means that of Windows
	Guests     int               // more than 0: the machine has a hypervisor, and so many guests wait for utility VMs
	CRI        bool              // pods: isol's runtime handlers, a CNI network, a pause image, and the program of test/cri
	Containerd string            // more lines for containerd's config.toml
	Out        io.Writer         // progress, a line per step; nil discards
}

// Lab is a running emulated Windows machine.
type Lab struct {
	Windows Windows // what it shows

	ctx        context.Context // ends with the lab
	cancel     context.CancelFunc
	starting   sync.Mutex // held by Start, so that an end does not race with what still comes up
	dir        string     // all of it: the prefix and the logs
	prefix     prefix
	guard      *guard
	emulator   *server
	guests     *guests      // nil without a hypervisor
	admin      *wire.Client // to the emulator
	containerd *server
	conn       *grpc.ClientConn // to containerd
	close      func() error
}

// Start boots a lab. When ctx ends, so does the lab, as by Close (mind that
// testing's T.Context ends before functions of T.Cleanup run). The first one on
// a machine takes minutes, since it builds the peers; later ones seconds.
func Start(ctx context.Context, cfg Config) (*Lab, error) {
	if cfg.Windows == (Windows{}) {
		cfg.Windows = Server2022
	}
	if len(cfg.Images) == 0 {
		cfg.Images = []Windows{cfg.Windows}
	}
	progress := func(line string) {
		if cfg.Out != nil {
			fmt.Fprintln(cfg.Out, "lab: "+line)
		}
	}
	p, err := gather(ctx, cfg, progress)
	if err != nil {
		return nil, err
	}
	l, err := newLab(ctx, cfg, p)
	if err != nil {
		return nil, err
	}
	err = l.install(ctx, cfg, p, progress)
	if err == nil {
		err = l.boot(ctx, p.images)
	}
	l.starting.Unlock()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// parts are what labs are put together from: all of it is in the cache and
// does not change.
type parts struct {
	dir      string // the cache
	tools    tools
	template string // the prefix to clone
	peers    PeerSet
	images   []*image.Image
}

// gather makes what the cache lacks.
func gather(ctx context.Context, cfg Config, progress func(string)) (parts, error) {
	var p parts
	var err error
	if p.dir, err = cacheDir(); err != nil {
		return p, err
	}
	if p.tools, err = findTools(); err != nil {
		return p, err
	}
	if p.template, err = template(ctx, p.dir, p.tools, cfg.Windows, progress); err != nil {
		return p, err
	}
	if p.peers, err = Peers(ctx, progress); err != nil {
		return p, err
	}
	for _, w := range cfg.Images {
		shell := prefix{dir: p.template}.path(system32 + `\cmd.exe`)
		img, err := nano(ctx, p.dir, p.tools, w, shell)
		if err != nil {
			return p, err
		}
		p.images = append(p.images, img)
		if cfg.CRI {
			sandbox, err := pause(img, w)
			if err != nil {
				return p, err
			}
			p.images = append(p.images, sandbox)
		}
	}
	return p, nil
}

// newLab makes a lab's folder and its guard, and nothing in it.
func newLab(ctx context.Context, cfg Config, p parts) (*Lab, error) {
	// In the cache's file system, since a clone is made of hard links.
	runs := filepath.Join(p.dir, "run")
	if err := os.MkdirAll(runs, 0o755); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	dir, err := os.MkdirTemp(runs, cfg.Windows.Name+"-")
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	l := &Lab{Windows: cfg.Windows, dir: dir, prefix: prefix{dir: filepath.Join(dir, "prefix"), tools: p.tools}}
	if l.guard, err = startGuard(p.tools, dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.close = sync.OnceValue(l.end)
	l.starting.Lock()
	context.AfterFunc(ctx, func() { l.close() })
	return l, nil
}

// install clones the prefix and puts the programs where Windows and containerd
// look for them.
func (l *Lab) install(ctx context.Context, cfg Config, p parts, progress func(string)) error {
	if err := clone(p.template, l.prefix.dir); err != nil {
		return fmt.Errorf("lab: clone %s: %w", p.template, err)
	}
	if cfg.Guests > 0 {
		if err := l.prepareGuests(p.template, cfg.Guests, progress); err != nil {
			return err
		}
	}
	files, release, err := buildOurs(ctx, p.dir, cfg.CRI, progress)
	if err != nil {
		return err
	}
	defer release()
	files[ContainerdExe] = p.peers.Containerd
	files[CtrExe] = p.peers.Ctr
	files[ProgramFolder+`\`+filepath.Base(p.peers.Runhcs)] = p.peers.Runhcs
	for name, path := range cfg.Shims {
		files[ProgramFolder+`\`+name] = path
	}
	for to, from := range files {
		if err := l.Install(to, from); err != nil {
			return err
		}
	}
	if cfg.CRI {
		if err := l.installCRI(ctx); err != nil {
			return err
		}
	}
	return l.WriteFile(configFile, []byte(containerdConfig(cfg.Windows, cfg.CRI, cfg.Containerd)))
}

// boot starts the services and stores the images.
func (l *Lab) boot(ctx context.Context, images []*image.Image) error {
	if err := l.startEmulator(ctx); err != nil {
		return err
	}
	if err := l.startContainerd(ctx); err != nil {
		return err
	}
	l.guests.start()
	store := image.Store{Conn: l.conn, Path: l.prefix.path}
	for _, img := range images {
		for _, namespace := range []string{"default", "k8s.io"} {
			if err := store.Put(ctx, namespace, img); err != nil {
				return fmt.Errorf("lab: %w", err)
			}
		}
	}
	return nil
}

// Path is where a path of the lab's drive C: lies on this machine.
func (l *Lab) Path(windows string) string { return l.prefix.path(windows) }

// Image is the name of the image that fits the lab's Windows.
func (l *Lab) Image() string { return l.Windows.Image() }

// Close ends every process of the lab and removes its folder. It may be called
// several times; each call returns what the first found.
func (l *Lab) Close() error { return l.close() }

// end is Close, once. The guard does the ending: see guard.sh.
func (l *Lab) end() error {
	l.cancel() // which makes a start that is under way fail
	l.starting.Lock()
	defer l.starting.Unlock()
	l.guests.wait()
	return l.guard.end()
}
