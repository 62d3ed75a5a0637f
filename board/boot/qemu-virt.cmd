# QEMU's virt machine, arm64 and armv7: disk on virtio-mmio, memory from 40000000, QEMU's own device tree.
virtio scan
setenv oc_if virtio
setenv oc_dev 0
setenv oc_mem 48000000
setenv oc_fit 4a000000
setenv oc_max 10000
setenv oc_args "console=ttyAMA0 quiet panic=2 cryptomgr.notests"
setenv oc_check 'iminfo ${oc_fit}'
setenv oc_boot 'setenv verify n; bootm ${oc_fit}#slot ${oc_fit}#slot ${fdtcontroladdr}'
