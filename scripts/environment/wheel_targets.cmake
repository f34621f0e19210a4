# Given to CMake as CMAKE_PROJECT_INCLUDE when interfaces are generated against ROS wheels.
#
# The wheels export CMake targets that name include folders of the machine they were built on, and CMake refuses
# imported targets whose folders do not exist. Once all packages are found, drop what is not there.

function(sray_drop_missing_include_folders)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    if(NOT target MATCHES "__rosidl_generator_py$")
      continue()
    endif()
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    set(present "")
    foreach(folder IN LISTS folders)
      if(EXISTS "${folder}")
        list(APPEND present "${folder}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${present}")
  endforeach()
endfunction()

cmake_language(DEFER CALL sray_drop_missing_include_folders)
