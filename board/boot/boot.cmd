# Boot script of the A/B scheme, for U-Boot 2023.01 and later. codec/bootstate tells the record's format and has this
# logic in Go (Next); whoever changes one changes both. The partitions are found by their GPT names: env, slot-a, slot-b.
#
# A slot begins with a FIT (codec/fit), whose parts have hashes and whose configuration is called slot. It is read to
# memory once and verified there, then it boots. What the board has to set before, in a file of its own in front of this one:
#   oc_if, oc_dev    the disk: virtio 0, mmc 1
#   oc_mem, oc_fit   memory for the record (16 KiB) and for the FIT (oc_max blocks of 512 bytes)
#   oc_args          the kernel's command line, to which ocellus.slot= and ocellus.boot= are added. cryptomgr.notests, as a
#                    kernel that is built for a device has it: RSA and DH try themselves out at every boot, 0.8 s on armv7
#   oc_check         verifies the FIT at oc_fit
#   oc_boot          boots it with bootargs; it was verified in the memory where it lies
# Numbers are hexadecimal. No line here spends a try of the confirmed slot. U-Boot's shell takes no apostrophe and no
# comment inside an if.

setenv oc_take '${oc_if} read ${oc_mem} ${oc_lba} 20 && env import -c ${oc_mem} 4000 st_vars && env import -c ${oc_mem} 4000 ${st_vars} && test -n "${st_seq}"'
setenv oc_load 'part start ${oc_if} ${oc_dev} slot-${oc_s} oc_lba && ${oc_if} read ${oc_fit} ${oc_lba} 1 && fdt addr ${oc_fit} && fdt header get oc_size totalsize && setexpr oc_size ${oc_size} + 1ff && setexpr oc_size ${oc_size} / 200 && itest ${oc_size} -gt 0 && itest ${oc_size} -le ${oc_max} && ${oc_if} read ${oc_fit} ${oc_lba} ${oc_size}'
setenv oc_verify 'run oc_load && run oc_check'
setenv oc_save 'setexpr st_seq ${st_seq} + 1 && env export -c -s 4000 ${oc_mem} ${st_vars} && ${oc_if} write ${oc_mem} ${oc_wlba} 20'
setenv oc_go 'echo "boot: slot ${oc_s}, ${oc_how}"; setenv bootargs "${oc_args} ocellus.slot=${oc_s} ocellus.boot=${oc_how}"; run oc_boot; echo "boot: slot ${oc_s} does not start"; reset'
setenv oc_try 'if run oc_verify; then run oc_go; fi'

${oc_if} dev ${oc_dev}
part start ${oc_if} ${oc_dev} env oc_lba0
setexpr oc_lba1 ${oc_lba0} + 400

# The record: the whole copy with the higher sequence, copy 0 if they are equal. The other one is written. A copy that
# is not whole changes no variable, so copy 1 need not be taken again where it counts.
setenv oc_at none
setenv oc_lba ${oc_lba0}
if run oc_take; then
  setenv oc_at 0
  setenv oc_seq0 ${st_seq}
fi
setenv oc_lba ${oc_lba1}
if run oc_take; then
  if test ${oc_at} = none; then
    setenv oc_at 1
  elif itest ${st_seq} -gt ${oc_seq0}; then
    setenv oc_at 1
  fi
fi
setenv oc_wlba ${oc_lba1}
if test ${oc_at} = 0; then
  setenv oc_lba ${oc_lba0}
  run oc_take
fi
if test ${oc_at} = 1; then
  setenv oc_wlba ${oc_lba0}
fi

if test ${oc_at} = none; then
  echo "boot: both copies of the record are damaged"
  setenv oc_how unrecorded
  setenv oc_s a
  run oc_try
  setenv oc_s b
  run oc_try
else
  echo "boot: record ${oc_at}/${st_seq}: slot ${st_slot}, on trial ${st_try}, tries left ${st_left}"
  if test "${st_slot}" != b; then setenv st_slot a; fi
  setenv oc_other b
  if test ${st_slot} = b; then setenv oc_other a; fi
  if test "${st_try}" = ${oc_other}; then
    setenv oc_left none
    if test "${st_left}" = 1; then setenv oc_left 0; fi
    if test "${st_left}" = 2; then setenv oc_left 1; fi
    if test "${st_left}" = 3; then setenv oc_left 2; fi
    if test "${st_left}" = 4; then setenv oc_left 3; fi
    if test "${st_left}" = 5; then setenv oc_left 4; fi
    if test "${st_left}" = 6; then setenv oc_left 5; fi
    if test "${st_left}" = 7; then setenv oc_left 6; fi
    setenv oc_why tries
    if test ${oc_left} != none; then
      setenv oc_s ${oc_other}
      setenv oc_how trial
      setenv oc_why image
      if run oc_verify; then
        setenv oc_why none
        setenv st_left ${oc_left}
        if run oc_save; then run oc_go; fi
        echo "boot: no countdown without a write: slot ${oc_s} is not tried"
      fi
    fi
    if test ${oc_why} != none; then
      echo "boot: slot ${oc_other} failed (${oc_why}), back to ${st_slot}"
      setenv st_fail ${oc_other}
      setenv st_why ${oc_why}
      setenv st_try none
      setenv st_left 0
      run oc_save
    fi
  fi
  setenv oc_s ${st_slot}
  setenv oc_how confirmed
  run oc_try
  echo "boot: slot ${oc_s} does not verify"
  setenv oc_s ${oc_other}
  setenv oc_how rescue
  run oc_try
fi
echo "boot: no slot verifies"
reset
