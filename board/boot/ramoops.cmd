# QEMU's virt machine, for a kernel that has pstore: 128 KiB of memory outlive a reset, for what the kernel says when it
# dies (Documentation/admin-guide/ramoops.rst; reserved-memory/ramoops.yaml). Nothing of U-Boot's lies there, nor of what
# it loads. A device tree that takes no node is used as it is.
setenv oc_keep 'fdt move ${fdtcontroladdr} 49000000 100000 && fdt mknode / reserved-memory && fdt set /reserved-memory "#address-cells" <2> && fdt set /reserved-memory "#size-cells" <2> && fdt set /reserved-memory ranges && fdt mknode /reserved-memory ramoops@50000000 && setenv oc_node /reserved-memory/ramoops@50000000 && fdt set ${oc_node} reg <0 0x50000000 0 0x20000> && fdt set ${oc_node} record-size <0x8000> && fdt set ${oc_node} ecc-size <16> && fdt set ${oc_node} compatible ramoops && setenv oc_fdt 49000000'
setenv oc_boot 'setenv oc_fdt ${fdtcontroladdr}; run oc_keep; setenv verify n; bootm ${oc_fit}#slot ${oc_fit}#slot ${oc_fdt}'
