# Raspberry Pi with 64 bit: the card is mmc 0, memory begins at 0. Debian's U-Boot for it (u-boot-rpi 2023.01) was built
# without FIT and without SHA-256. But a FIT is a device tree: fdt finds its parts, and crc32 checks them by the second
# hash that they have (codec/fit). The kernel is unpacked to a multiple of 2 MiB, and takes 36 MB there.
setenv oc_if mmc
setenv oc_dev 0
setenv oc_mem 8000000
setenv oc_fit a000000
setenv oc_max 10000
setenv oc_args "console=ttyS1,115200 quiet panic=2 cryptomgr.notests"
setenv oc_find 'fdt get addr oc_pa /images/${oc_p} data && fdt get size oc_ps /images/${oc_p} data'
# crc32 stores its result with the lowest byte first, a FIT has the highest first.
setenv oc_same 'run oc_find && fdt get addr oc_b3 /images/${oc_p}/hash-2 value && crc32 ${oc_pa} ${oc_ps} 8010000 && setexpr oc_b2 ${oc_b3} + 1 && setexpr oc_b1 ${oc_b3} + 2 && setexpr oc_b0 ${oc_b3} + 3 && cmp.b 8010003 ${oc_b3} 1 && cmp.b 8010002 ${oc_b2} 1 && cmp.b 8010001 ${oc_b1} 1 && cmp.b 8010000 ${oc_b0} 1'
setenv oc_check 'setenv oc_p kernel; run oc_same && setenv oc_p ramdisk && run oc_same && setenv oc_p fdt && run oc_same'
setenv oc_boot 'setenv oc_p kernel; run oc_find; unzip ${oc_pa} 200000; setenv oc_p ramdisk; run oc_find; setenv oc_rd ${oc_pa}:${oc_ps}; setenv oc_p fdt; run oc_find; booti 200000 ${oc_rd} ${oc_pa}'
# U-Boot finds the place of device tree and initrd by itself.
setenv fdt_high
setenv initrd_high
