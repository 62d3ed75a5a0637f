# Raspberry Pi with 64 bit: the card is mmc 0, memory begins at 0. Debian's U-Boot for it (u-boot-rpi 2023.01) was built
# without FIT and without SHA-256. But a FIT is a device tree: fdt finds its parts, and crc32 checks them by the second
# hash that they have (codec/fit). The kernel is unpacked to a multiple of 2 MiB, and takes 36 MB there.
setenv oc_if mmc
setenv oc_dev 0
setenv oc_mem 8000000
setenv oc_fit a000000
setenv oc_max 10000
setenv oc_args "console=ttyS1,115200 quiet panic=2"
setenv oc_find 'fdt get addr oc_pa /images/${oc_p} data && fdt get size oc_ps /images/${oc_p} data'
setenv oc_same 'run oc_find && fdt get addr oc_pv /images/${oc_p}/hash-2 value && crc32 ${oc_pa} ${oc_ps} 8010000 && cmp.l 8010000 ${oc_pv} 1'
setenv oc_check 'setenv oc_p kernel; run oc_same && setenv oc_p ramdisk && run oc_same && setenv oc_p fdt && run oc_same'
setenv oc_boot 'setenv oc_p kernel; run oc_find; unzip ${oc_pa} 200000; setenv oc_p ramdisk; run oc_find; setenv oc_rd ${oc_pa}:${oc_ps}; setenv oc_p fdt; run oc_find; booti 200000 ${oc_rd} ${oc_pa}'
# U-Boot finds the place of device tree and initrd by itself.
setenv fdt_high
setenv initrd_high
