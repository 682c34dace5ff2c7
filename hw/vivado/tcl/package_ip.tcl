# Packages the accelerator as a block of Vivado's IP catalogue, in the folder ip.
source [file join [file dirname [file normalize [info script]]] common.tcl]

open_new_project package
add_files -norecurse [placed [concat $ff(systemverilog) $ff(verilog) $ff(memories)]]
set_property top $ff(top) [current_fileset]
update_compile_order -fileset sources_1
ipx::package_project -root_dir [file join $here ip] -vendor flipflow -library user -taxonomy /UserIP -import_files -force
set core [ipx::current_core]
set_property name flipflow_axi $core
set_property version 1.0 $core
set_property display_name "flipflow accelerator $ff(name)" $core
set_property description "Binary neural network, AXI4-Stream in and out, AXI4-Lite registers" $core
# The packager finds the interfaces by their ports' names; without one of them the block design could not be wired.
foreach bus {s_axi s_axis m_axis} {
  if {[llength [ipx::get_bus_interfaces $bus -of_objects $core]] != 1} {
    error "the packager found no interface $bus"
  }
  ipx::associate_bus_interfaces -busif $bus -clock aclk $core
}
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
